/** The package's name and version; a test holds them equal to package.json. */
export const PACKAGE_NAME = 'ere';
export const PACKAGE_VERSION = '0.1.0';
