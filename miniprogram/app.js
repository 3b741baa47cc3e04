"use strict";
const { Api } = require("./lib/api-wx.js");
const { BASE_URL, CONTAINER, HAS_LOGIN } = require("./config.js");

App({
  api: new Api({ baseUrl: BASE_URL, hasLogin: HAS_LOGIN }),

  onLaunch() {
    if (CONTAINER) wx.cloud.init();
  },
});
