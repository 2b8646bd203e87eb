// What the tests install beside the project itself: the old clients that they drive, and the libraries of the examples.
import { dirname, join } from 'node:path';
import { installFolder } from './install-folder.ts';

const root = dirname(import.meta.dirname);
installFolder(join(root, 'test', 'clients'), 'the old Socket.IO clients');
installFolder(join(root, 'examples'), 'the client libraries of the examples');
