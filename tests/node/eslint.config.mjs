// The rules for the mini-program and its tests: what eslint recommends, and what WeChat's developer tools need.
import js from "@eslint/js";
import globals from "globals";

const WECHAT = { wx: "readonly", App: "readonly", Page: "readonly", getApp: "readonly", ...globals.commonjs };
const TIMERS = { setTimeout: "readonly", clearTimeout: "readonly", console: "readonly" };
const RULES = {
  eqeqeq: "error",
  "no-var": "error",
  "prefer-const": "error",
  "no-shadow": "error",
  "no-unused-vars": ["error", { args: "all", argsIgnorePattern: "^_" }],
  "max-lines": ["error", 450],
};

export default [
  js.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    // The core knows neither WeChat nor a browser: no globals at all but those of the language.
    files: ["**/miniprogram/lib/*.js"],
    ignores: ["**/*-wx.js", "**/*-browser.js"],
    languageOptions: { ecmaVersion: 2018, sourceType: "commonjs", globals: {} },
    rules: RULES,
  },
  {
    files: ["**/miniprogram/lib/*-wx.js", "**/miniprogram/*.js", "**/miniprogram/pages/**/*.js"],
    languageOptions: { ecmaVersion: 2018, sourceType: "commonjs", globals: { ...WECHAT, ...TIMERS } },
    rules: RULES,
  },
  {
    files: ["**/miniprogram/lib/*-browser.js"],
    languageOptions: { ecmaVersion: 2020, sourceType: "commonjs", globals: { ...globals.browser, ...globals.commonjs } },
    rules: RULES,
  },
  { ignores: ["**/service/web/console/lib/"] }, // copies of the mini-program's
  {
    files: ["**/service/web/console/**/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: { ...globals.browser, ...globals.audioWorklet } },
    rules: RULES,
  },
  {
    files: ["**/tests/node/**/*.js"],
    languageOptions: { ecmaVersion: 2022, sourceType: "commonjs", globals: { ...globals.node } },
    rules: RULES,
  },
];
