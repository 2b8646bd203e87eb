// Installs packages that only the tests need: the legacy clients, and the client libraries of the examples.
import { dirname, join } from 'node:path';
import { installFolder } from './install-folder.ts';

const root = dirname(import.meta.dirname);
installFolder(join(root, 'test', 'clients'), 'the legacy Socket.IO clients');
installFolder(join(root, 'examples'), 'the client libraries of the examples');
