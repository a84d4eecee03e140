/**
 * The loss: how you configure it, the output layer that computes it, and how labels carry the teacher's log-
 * probabilities. The subpackages do the arithmetic. Calls them, the internal package, DL4J and ND4J.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jretention.loss;

import org.jspecify.annotations.NullMarked;
