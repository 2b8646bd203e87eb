// Writes the `possibleTypes` of Apollo's cache: the members of the schema's interfaces and unions. An example that is copied
// alone has a file of its own.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildSchema, isAbstractType } from 'graphql';

const root = dirname(import.meta.dirname);
const schema = buildSchema(readFileSync(join(root, 'schema.graphql'), 'utf8'));
const possibleTypes = Object.fromEntries(
  Object.values(schema.getTypeMap())
    .filter(isAbstractType)
    .filter(({ name }) => !name.startsWith('__'))
    .map((type) => [type.name, schema.getPossibleTypes(type).map(({ name }) => name)]),
);
for (const folder of ['.', 'chat-react-apollo/src'])
  writeFileSync(
    join(root, 'examples', folder, 'possible-types.json'),
    `${JSON.stringify(possibleTypes, null, 2)}\n`,
  );
