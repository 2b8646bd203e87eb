import { looksEmpty } from '../text.ts';

const MAX_FILENAME = 120;
const MAX_EXTENSION = 10;
/** Control characters, those that make a name read backwards, and those that hide how a name ends. */
const UNSAFE =
  /[\p{Cc}\p{Noncharacter_Code_Point}\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/gu;
/** Devices of Windows, which saves no file under their names, whatever the extension. */
const RESERVED = /^(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³])(?=\.|$)/i;

/**
 * Splits an uploaded name, which may be a whole path of the sender's device, into what it is called and its
 * extension, which keeps its dot. A text after the last dot that is too long for one belongs to the name.
 */
export function splitFilename(uploaded: string): { readonly filename: string; readonly extension: string } {
  const last = uploaded.toWellFormed().replace(UNSAFE, '').split(/[/\\]/).at(-1) ?? '';
  const base = last.normalize('NFC').trim().replace(RESERVED, '_$&');
  const dot = base.lastIndexOf('.');
  const extension =
    dot > 0 && base.length - dot <= MAX_EXTENSION && /^\.\S+$/.test(base.slice(dot)) ? base.slice(dot) : '';
  const name = extension === '' ? base : base.slice(0, dot);
  return {
    filename: Array.from(looksEmpty(name.replaceAll('.', '')) ? 'file' : name)
      .slice(0, MAX_FILENAME)
      .join(''),
    extension,
  };
}
