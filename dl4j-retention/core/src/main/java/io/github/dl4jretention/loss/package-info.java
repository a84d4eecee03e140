/**
 * The loss: its configuration, the output layer, how labels carry the teacher's log-probabilities. Calls DL4J and ND4J
 * and no other package of this library.
 *
 * @serial exclude
 */
package io.github.dl4jretention.loss;
