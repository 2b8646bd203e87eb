import type { CodegenConfig } from '@graphql-codegen/cli';

// The operations that the bridge runs, typed against the schema that serves them, in a form that Node runs unbuilt.
const config: CodegenConfig = {
  schema: 'schema.graphql',
  documents: 'src/bridge/contract/operations.graphql',
  generates: {
    'src/bridge/contract/operations.generated.ts': {
      plugins: ['typescript-operations', 'typed-document-node'],
      config: {
        enumType: 'string-literal',
        useTypeImports: true,
        strictScalars: true,
        scalars: {
          ID: 'string',
          DateTime: 'string',
          Date: 'string',
          Cursor: 'string',
          JSON: 'unknown',
          Upload: 'never',
        },
      },
    },
  },
};

export default config;
