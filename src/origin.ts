/**
 * An origin as browsers write it: lower case, punycode, without the default port and a slash at the end. Undefined for
 * what is none. Apps in a WebView have schemes of their own (`capacitor://localhost`, `file://`); a page of no origin
 * says `null`.
 */
export function parseOrigin(text: string): string | undefined {
  if (text.toLowerCase() === 'null') return 'null';
  if (!URL.canParse(text)) return undefined;
  const { protocol, host, pathname, search, hash, username, password } = new URL(text);
  if (!/^\/?$/.test(pathname) || `${search}${hash}${username}${password}` !== '') return undefined;
  if (host === '' && protocol !== 'file:') return undefined;
  return `${protocol}//${host.toLowerCase()}`;
}
