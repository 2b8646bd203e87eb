/**
 * Uploads a declared file as the mobile apps do, with XMLHttpRequest, as fetch does not tell the progress. Calls `onProgress`
 * with the uploaded share. Rejects if the gateway refuses the file or is not reachable.
 */
export function uploadFile({ mediaId, file, token, onProgress, onFrame }) {
  const body = new FormData();
  body.set('file', file);
  const path = `/media/upload/${mediaId}`;
  onFrame('sent', `POST ${path}`, { file: file.name, bytes: file.size });
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', path);
    request.setRequestHeader('authorization', token);
    request.upload.addEventListener('progress', ({ loaded, total }) => onProgress(loaded / total));
    request.addEventListener('load', () => {
      onFrame('received', `HTTP ${request.status}`, request.responseText);
      if (request.status === 200) resolve();
      else reject(new Error(`the upload was refused (${request.status}): ${request.responseText}`));
    });
    request.addEventListener('error', () => reject(new Error('the upload was interrupted')));
    request.send(body);
  });
}
