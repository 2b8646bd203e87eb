// Enforces the import boundaries of src/: which folder may import which, by parsing every import of every module.
//
// The linter's restricted imports compare the text of a specifier, and miss both `import('…')` and the type
// `import('…').Name`. A parser finds all of them, and each is resolved to its file.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';

/** The minimum number of modules; with fewer, the check has read the wrong folder. */
const MIN_MODULES = 200;

interface FolderRule {
  readonly mayImport: readonly string[];
  /** Modules or zones of which only types may be imported. */
  readonly typesOf?: readonly string[];
}

const LAYERS = [
  'lib',
  'db',
  'events',
  'services',
  'domain',
  'schema',
  'admin',
  'gateway',
  'bridge',
  'page',
] as const;

/** A zone is a folder of src/ or one file directly in it. Every zone may import the leaves. */
const FOLDER_RULES: Readonly<Record<string, FolderRule>> = {
  lib: { mayImport: ['lib'] },
  db: { mayImport: ['db', 'lib'] },
  events: { mayImport: ['events', 'db', 'lib'] },
  services: { mayImport: ['services', 'events', 'db', 'lib'] },
  domain: { mayImport: ['domain', 'services', 'events', 'db', 'lib'] },
  schema: { mayImport: ['schema', 'domain', 'events', 'lib'] },
  admin: { mayImport: ['admin', 'schema', 'domain', 'lib'] },
  gateway: { mayImport: ['gateway', 'schema', 'lib'], typesOf: ['domain', 'events'] },
  bridge: {
    mayImport: ['bridge', 'events', 'lib'],
    typesOf: ['gateway/execution/executor.ts', 'services/channel-usage.ts'],
  },
  page: { mayImport: ['page'] },
  client: { mayImport: ['client'] },
  testing: { mayImport: ['testing', 'app.ts', ...LAYERS] },
  app: { mayImport: ['app', ...LAYERS] },
  'app.ts': { mayImport: ['app', ...LAYERS] },
  'create-gateway.ts': {
    mayImport: ['app', 'app.ts', 'misspelt-settings.ts', 'settings.generated.ts', ...LAYERS],
  },
  'index.ts': { mayImport: ['app', 'create-gateway.ts', 'settings.generated.ts', ...LAYERS] },
  'settings.generated.ts': { mayImport: [] },
  'main.cjs': { mayImport: ['program.ts'] },
  // A link to main.cjs, or a copy of it.
  'main.ts': { mayImport: ['program.ts'] },
  'program.ts': {
    mayImport: [
      'app.ts',
      'arguments.ts',
      'commands',
      'misspelt-settings.ts',
      'output.ts',
      'restartable-app.ts',
      ...LAYERS,
    ],
  },
  'restartable-app.ts': { mayImport: ['app.ts'] },
  'arguments.ts': { mayImport: ['commands'] },
  commands: { mayImport: ['commands', 'db', 'lib'] },
  'misspelt-settings.ts': { mayImport: [] },
  'output.ts': { mayImport: ['lib'] },
};

/** Modules that every zone may import. A leaf imports only other leaves. */
const LEAVES: readonly string[] = [
  'actor.ts',
  'config-parsers.ts',
  'config-variables.ts',
  'config.ts',
  'errors.ts',
  'ids.ts',
  'live-connections.ts',
  'log.ts',
  'tracing.ts',
  'version.ts',
];

interface PackageRule {
  readonly packages: RegExp;
  /** The only zones that may import them. */
  readonly allowedIn?: readonly string[];
  /** The zones that may not import them. */
  readonly forbiddenIn?: readonly string[];
}

const PACKAGE_RULES: readonly PackageRule[] = [
  { packages: /^(kysely|pg|pg-pool|@electric-sql\/pglite)(\/|$)/, allowedIn: ['db'] },
  { packages: /^socket\.io-client(\/|$)/, allowedIn: ['testing'] },
  { packages: /^(socket\.io(?!-client)|engine\.io)/, allowedIn: ['bridge', 'app.ts'] },
  { packages: /^graphql-ws(\/|$)/, allowedIn: ['gateway', 'testing'] },
  { packages: /^ws(\/|$)/, allowedIn: ['bridge', 'gateway', 'lib', 'testing'] },
  {
    packages: /^(graphql|graphql-yoga|@graphql-yoga\/.*|@pothos\/.*)(\/|$)/,
    forbiddenIn: ['lib/text.ts', 'lib/dates.ts', 'db', 'events', 'domain', ...LEAVES],
  },
  {
    packages: /^(node:)?(http|https|http2)$/,
    allowedIn: ['gateway', 'bridge', 'testing', 'app.ts', 'create-gateway.ts', 'program.ts'],
  },
];

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly line: number;
}

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export interface ImportReport {
  readonly modules: number;
  readonly imports: number;
  readonly violations: readonly Violation[];
}

/** Returns the forbidden imports and import cycles of the project at `root`. */
export function checkImports(root: string, minModules = MIN_MODULES): ImportReport {
  const source = join(root, 'src');
  const files = listModules(source);
  const violations: Violation[] = [];
  const graph = new Map<string, string[]>();
  let imports = 0;

  for (const file of files) {
    const name = relative(source, file);
    const targets: string[] = [];
    graph.set(name, targets);
    const report = (line: number, message: string): void => {
      violations.push({ file: relative(root, file), line, message });
    };
    if (!isKnown(name)) {
      report(1, `${findZone(name)} has no row in the table of scripts/arrows.ts`);
      continue;
    }
    for (const imported of readImports(file)) {
      imports += 1;
      if (imported.specifier.startsWith('.')) {
        const path = resolve(dirname(file), imported.specifier);
        const target = relative(source, path);
        if (target.startsWith('..')) {
          report(imported.line, `src/ imports nothing outside src/, and this is ${relative(root, path)}`);
        } else if (!existsSync(path)) {
          report(imported.line, `${imported.specifier} is not a file`);
        } else {
          targets.push(target);
          const problem = checkModule(name, target, imported.typeOnly);
          if (problem !== undefined) report(imported.line, problem);
        }
      } else {
        const problem = checkPackage(name, imported.specifier);
        if (problem !== undefined) report(imported.line, problem);
      }
    }
  }

  for (const cycle of findCycles(graph)) {
    violations.push({
      file: join('src', cycle[0] ?? ''),
      line: 1,
      message: `import cycle: ${cycle.join(' > ')}`,
    });
  }
  if (files.length < minModules) {
    violations.push({
      file: 'src',
      line: 1,
      message: `only ${files.length} modules seen, at least ${minModules} expected`,
    });
  }
  return { modules: files.length, imports, violations };
}

function findZone(name: string): string {
  return name.split('/')[0] ?? name;
}

function isKnown(name: string): boolean {
  return LEAVES.includes(name) || Object.hasOwn(FOLDER_RULES, findZone(name));
}

function checkModule(from: string, to: string, typeOnly: boolean): string | undefined {
  if (LEAVES.includes(to)) return undefined;
  if (LEAVES.includes(from)) return `${from} is a leaf and imports only other leaves, and this is ${to}`;
  const rule = FOLDER_RULES[findZone(from)];
  if (rule === undefined || rule.mayImport.includes(findZone(to))) return undefined;
  if (rule.typesOf?.some((allowed) => allowed === to || allowed === findZone(to))) {
    return typeOnly ? undefined : `${findZone(from)} may use only the types of ${to}, by import type`;
  }
  return `${findZone(from)} may not import ${findZone(to)}, and this is ${to}`;
}

function checkPackage(from: string, specifier: string): string | undefined {
  const zone = findZone(from);
  for (const { packages, allowedIn, forbiddenIn } of PACKAGE_RULES) {
    if (!packages.test(specifier)) continue;
    if (allowedIn !== undefined && !allowedIn.includes(zone)) {
      return `${specifier} is for ${allowedIn.join(', ')} only, not for ${zone}`;
    }
    if (forbiddenIn?.includes(zone) === true) return `${specifier} is not for ${zone}`;
  }
  return undefined;
}

function listModules(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?[jt]s$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !relative(folder, file).startsWith('page/vendor/'))
    .sort();
}

function readImports(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const { program, errors } = parseSync(file, text);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${file} cannot be parsed: ${error.message}`);

  const imported: Import[] = [];
  const add = (specifier: string, start: number, typeOnly: boolean): void => {
    imported.push({ specifier, typeOnly, line: text.slice(0, start).split('\n').length });
  };
  new Visitor({
    ImportDeclaration(node) {
      const typeOnly =
        node.importKind === 'type' ||
        (node.specifiers.length > 0 &&
          node.specifiers.every(
            (specifier) => specifier.type === 'ImportSpecifier' && specifier.importKind === 'type',
          ));
      add(node.source.value, node.start, typeOnly);
    },
    ExportNamedDeclaration(node) {
      if (node.source === null) return;
      const typeOnly =
        node.exportKind === 'type' ||
        (node.specifiers.length > 0 && node.specifiers.every((specifier) => specifier.exportKind === 'type'));
      add(node.source.value, node.start, typeOnly);
    },
    ExportAllDeclaration(node) {
      add(node.source.value, node.start, node.exportKind === 'type');
    },
    TSImportType(node) {
      add(node.source.value, node.start, true);
    },
    ImportExpression(node) {
      if (node.source.type === 'Literal' && typeof node.source.value === 'string') {
        add(node.source.value, node.start, false);
      } else {
        throw new Error(`${file} has an import whose specifier is not a literal`);
      }
    },
  }).visit(program);
  return imported;
}

/** Returns one cycle for each set of modules that import each other, type imports included. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];

  const visit = (module: string): void => {
    const start = path.indexOf(module);
    if (start >= 0) {
      cycles.push([...path.slice(start), module]);
      return;
    }
    if (done.has(module)) return;
    path.push(module);
    for (const target of graph.get(module) ?? []) visit(target);
    path.pop();
    done.add(module);
  };
  for (const module of graph.keys()) visit(module);
  return cycles;
}
