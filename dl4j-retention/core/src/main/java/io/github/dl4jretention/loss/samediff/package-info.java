/**
 * The loss as SameDiff operations: for the output layer on any backend and in any data type, and for SameDiff models.
 * Called by the loss package; what a saved SameDiff model knows of its loss is also read by the packages that save and
 * merge models. Calls the loss and internal packages, DL4J and ND4J.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jretention.loss.samediff;

import org.jspecify.annotations.NullMarked;
