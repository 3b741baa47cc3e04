"use strict";
// The browser's side of a talk: its WebSocket, its clock, and the news that the network or the page is back.

/** @typedef {import("./types").Adapter} Adapter */
/** @typedef {import("./types").VoiceSocket} VoiceSocket */

const SUBPROTOCOL = "voice.v1";

/**
 * An adapter for `VoiceStream` in a page of a browser. A browser cannot set headers, so a token goes as a
 * subprotocol: RFC 6455 section 4.1 allows letters, digits and most signs in it, which is what a JWT is made of.
 * @returns {Adapter}
 */
function browserAdapter() {
  return {
    connect,
    now: () => Date.now(),
    setTimer: (action, ms) => setTimeout(action, ms),
    clearTimer: (timer) => clearTimeout(timer),
    watch,
  };
}

/**
 * @param {{url: string, token: string | null}} target
 * @returns {VoiceSocket}
 * @throws {SyntaxError} when the address or the token cannot be used
 */
function connect({ url, token }) {
  const socket = new WebSocket(url, token ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL]);
  socket.binaryType = "arraybuffer";
  /** @type {VoiceSocket} */
  const shown = {
    // Into a socket that is closing a browser would send nothing, and complain in its console: `onclose` is on its way.
    send: (data) => void (socket.readyState === WebSocket.OPEN && socket.send(data)),
    close: (code, reason) => socket.close(code, reason),
    bufferedBytes: () => socket.bufferedAmount,
    onmessage: () => {},
    onclose: () => {},
    onerror: () => {}, // never called: after every error a browser closes, and says no more than that
  };
  socket.onmessage = ({ data }) => shown.onmessage(data);
  socket.onclose = ({ code, reason }) => shown.onclose({ code, reason });
  return shown;
}

/**
 * A page in the background goes on, so only one that is frozen (Page Lifecycle) counts as gone.
 * @param {import("./types").Watched} talk
 * @returns {() => void}
 */
function watch(talk) {
  const changed = () => talk.networkChanged();
  const seen = () => void (document.visibilityState === "visible" && talk.networkChanged());
  const frozen = () => talk.entersBackground();
  const resumed = () => talk.entersForeground();
  addEventListener("online", changed);
  addEventListener("offline", changed);
  document.addEventListener("visibilitychange", seen);
  document.addEventListener("freeze", frozen);
  document.addEventListener("resume", resumed);
  return () => {
    removeEventListener("online", changed);
    removeEventListener("offline", changed);
    document.removeEventListener("visibilitychange", seen);
    document.removeEventListener("freeze", frozen);
    document.removeEventListener("resume", resumed);
  };
}

module.exports = { browserAdapter };
