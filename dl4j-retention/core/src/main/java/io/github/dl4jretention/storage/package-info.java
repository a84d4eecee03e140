/**
 * How every other package writes its files: at once, complete and forced to the disk, or not at all. Public for those
 * packages, not for users of the library. Calls Java alone.
 */
package io.github.dl4jretention.storage;
