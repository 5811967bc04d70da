// A transcript as a file.

/** @param {{name: string, media_type: string, content: string}} file */
export function download(file) {
  const url = URL.createObjectURL(new Blob([file.content], { type: file.media_type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // some browsers read it late
}
