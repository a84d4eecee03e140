/**
 * The fast path of the loss: projection, softmax, divergence and gradients of a chunk of tokens at a time, on the CPU in
 * FLOAT. Called by the output layer only; calls the loss package and ND4J.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jretention.loss.fused;

import org.jspecify.annotations.NullMarked;
