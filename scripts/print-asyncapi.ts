import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { createAsyncapiDocument } from './asyncapi.ts';

const comment =
  '# Generated from src/bridge/contract/channels.ts and src/bridge/contract/frame-schemas.ts by `npm run drift`.\n';
const text = stringify(createAsyncapiDocument(), {
  lineWidth: 0,
  blockQuote: 'literal',
  aliasDuplicateObjects: false,
  schema: 'yaml-1.1',
});
await writeFile(new URL('../asyncapi.yaml', import.meta.url), comment + text);
