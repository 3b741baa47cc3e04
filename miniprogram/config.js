"use strict";
// Where the service is. On a phone the domain must be on the lists of request, uploadFile and socket domains.

module.exports = {
  BASE_URL: "http://127.0.0.1:8000", // `make serve`; in the developer tools with "do not verify legal domains"
  HAS_LOGIN: false, // true where the service was started with AUTH_MODE=token
  CONTAINER: undefined, // { env: "…", service: "…" }: wx.cloud.connectContainer in place of a socket domain
  VOICE_FORMAT: /** @type {"pcm" | "mp3"} */ ("pcm"),
};
