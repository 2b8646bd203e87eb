const MAX_FILENAME = 120;
const MAX_EXTENSION = 10;
/** Control characters, and those that make a name read backwards. */
const UNSAFE = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/**
 * Splits an uploaded name, which may be a whole path of the sender's device, into what it is called and its
 * extension, which keeps its dot. A text after the last dot that is too long for one belongs to the name.
 */
export function splitFilename(uploaded: string): { readonly filename: string; readonly extension: string } {
  const base = uploaded.toWellFormed().replace(UNSAFE, '').split(/[/\\]/).at(-1)?.trim() ?? '';
  const dot = base.lastIndexOf('.');
  const extension =
    dot > 0 && base.length - dot <= MAX_EXTENSION && dot < base.length - 1 ? base.slice(dot) : '';
  const name = extension === '' ? base : base.slice(0, dot);
  return {
    filename: Array.from(/[^.]/.test(name) ? name : 'file')
      .slice(0, MAX_FILENAME)
      .join(''),
    extension,
  };
}
