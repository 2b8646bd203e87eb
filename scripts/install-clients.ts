// The old Socket.IO clients that the tests drive.
import { dirname, join } from 'node:path';
import { installFolder } from './install-folder.ts';

installFolder(join(dirname(import.meta.dirname), 'test', 'clients'), 'the old Socket.IO clients');
