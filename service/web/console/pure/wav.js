/** The samples of a bundled recording. Pure. */

/**
 * @param {ArrayBuffer} file a RIFF file with 16-bit mono PCM
 * @returns {{rateHz: number, samples: Int16Array}}
 * @throws {Error} when it is something else: our own files are meant, not any that exists
 */
export function readWav(file) {
  const view = new DataView(file);
  if (file.byteLength < 12 || name(view, 0) !== 'RIFF' || name(view, 8) !== 'WAVE') throw new Error('no WAV file');
  let rateHz = 0;
  for (let at = 12; at + 8 <= file.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    if (name(view, at) === 'fmt ') {
      const [format, channels, bits] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true), view.getUint16(at + 22, true)];
      if (format !== 1 || channels !== 1 || bits !== 16) throw new Error('not 16-bit mono PCM');
      rateHz = view.getUint32(at + 12, true);
    } else if (name(view, at) === 'data' && rateHz) {
      const length = Math.min(size, file.byteLength - at - 8) >> 1;
      return { rateHz, samples: new Int16Array(file.slice(at + 8, at + 8 + 2 * length)) };
    }
    at += 8 + size + (size & 1); // chunks are padded to even sizes
  }
  throw new Error('a WAV file without samples');
}

/**
 * @param {DataView} view
 * @param {number} at
 */
function name(view, at) {
  return String.fromCharCode(...new Uint8Array(view.buffer, at, 4));
}
