/**
 * What several packages of this project share and no user should touch: it may change in any release. Files that appear
 * whole or not at all, with or without a checksum, and the lock that lets one writer into a folder. Calls Java, SLF4J
 * and ND4J alone.
 */
package io.github.dl4jretention.internal;
