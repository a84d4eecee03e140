/**
 * The loss: its configuration, the output layer, how labels carry the teacher's log-probabilities. Calls its own
 * subpackages, which do the arithmetic, the internal package, DL4J and ND4J.
 *
 * @serial exclude
 */
package io.github.dl4jretention.loss;
