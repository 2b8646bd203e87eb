import { VARIABLES } from './config.ts';

export interface Answer {
  readonly text: string;
  readonly isRefusal: boolean;
}

const WIDTH = 80;

/** What the program says instead of starting; undefined without arguments. */
export function handleArguments(args: readonly string[], version: string): Answer | undefined {
  const unknown = args.find((arg) => !/^(--help|-h|--version|-v)$/.test(arg));
  if (unknown !== undefined) return { text: refusalOf(unknown), isRefusal: true };
  if (args.some((arg) => /^(--help|-h)$/.test(arg))) return { text: helpOf(version), isRefusal: false };
  return args.length === 0 ? undefined : { text: version, isRefusal: false };
}

function refusalOf(argument: string): string {
  const [, name = '', value = '…'] = /^-*([\w-]+)(?:=(.*))?$/.exec(argument) ?? [];
  const variable = name.toUpperCase().replaceAll('-', '_');
  const hint =
    variable in VARIABLES
      ? `Settings are environment variables: ${variable}=${value} npm start`
      : 'Settings are environment variables; npm start -- --help lists them.';
  return `Unknown argument ${argument}. ${hint}`;
}

function helpOf(version: string): string {
  const variables = Object.entries(VARIABLES).map(([name, { default: fallback, about }]) =>
    [`  ${name}`, ...wrap(about, 6), ...wrap(`Default: ${fallback}`, 6)].join('\n'),
  );
  return [
    `Parley ${version}: a GraphQL subscriptions gateway with a Socket.IO bridge.`,
    '',
    'Usage: npm start                    serves, on http://127.0.0.1:4000 unless set',
    '       npm start -- --help          prints this',
    '       npm start -- --version       prints the version',
    '',
    'Settings are environment variables, as in PORT=5000 npm start:',
    '',
    variables.join('\n\n'),
  ].join('\n');
}

/** Breaks a text of Markdown at spaces into indented lines of at most 80 columns. */
function wrap(markdown: string, indent: number): string[] {
  const lines: string[] = [];
  for (const word of markdown
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll('`', '')
    .split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && `${last} ${word}`.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(' '.repeat(indent) + word);
  }
  return lines;
}
