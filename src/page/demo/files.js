import { element } from '../element.js';

/** Calls `onFile` with each file that is dropped on a side, or chosen with its button. */
export function acceptFiles(root, onFile) {
  const input = root.querySelector('.attach input');
  const accept = (files) => {
    if (root.dataset.state === 'online') for (const file of files) onFile(file);
  };
  input.addEventListener('change', () => {
    accept(input.files);
    input.value = '';
  });
  root.querySelector('.attach button').addEventListener('click', () => input.click());
  const mark = (isOver) => (event) => {
    event.preventDefault();
    root.toggleAttribute('data-over', isOver);
  };
  root.addEventListener('dragover', mark(true));
  root.addEventListener('dragleave', mark(false));
  root.addEventListener('drop', (event) => {
    mark(false)(event);
    accept(event.dataTransfer.files);
  });
}

/** Creates the view of a file of a message: `{ id, name, isImage, url }`; without `url` it is being uploaded. */
export function createFileItem({ id, name, isImage, url }) {
  const item = element('p', 'file');
  item.dataset.file = id;
  if (url === undefined) {
    const progress = element('progress');
    progress.max = 1;
    progress.value = 0;
    progress.ariaLabel = `Upload of ${name}`;
    item.append(element('span', '', name), progress);
    return item;
  }
  const link = element('a', '', isImage ? '' : name);
  link.href = isImage ? url : `${url}&download`;
  if (isImage) {
    const image = element('img');
    image.src = url;
    image.alt = name;
    link.target = '_blank';
    link.append(image);
  }
  item.append(link);
  return item;
}

/** Converts a file of GraphQL to the form that the panel shows. */
export const toPanelFile = ({ legacyId, identifier, filename, extension, contentType, url }) => ({
  id: legacyId,
  name: filename === null ? identifier : `${filename}${extension}`,
  isImage: contentType?.startsWith('image/') === true,
  url: url ?? undefined,
});
