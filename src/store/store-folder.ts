/** Name of the folder that a store has where it is not told otherwise. */
export const STORE_FOLDER = '.ere-store';
