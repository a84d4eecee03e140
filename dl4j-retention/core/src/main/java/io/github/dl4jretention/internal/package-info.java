/**
 * What several packages of this project share and no user should touch: it may change in any release. Files that appear
 * whole or not at all, with or without a checksum; the lock that lets one writer into a folder; texts inside SameDiff
 * models; retention layers and thawed layers of networks; what iterators over iterators pass on; parts of work on several
 * threads; the largest values of a token. Calls the loss package, DL4J, ND4J and SLF4J.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jretention.internal;

import org.jspecify.annotations.NullMarked;
