/**
 * The teacher: frozen copies of networks, mixtures and averages of them, the SHA-256 that tells them apart, and the
 * iterators that ask them and put their answers into the labels. Calls the loss and internal packages, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.teacher;

import org.jspecify.annotations.NullMarked;
