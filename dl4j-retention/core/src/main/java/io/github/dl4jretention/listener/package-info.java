/**
 * Reports while a training runs: loss, divergence, coefficient and gradient, to a log, a CSV file or a sink of your
 * own. Calls the loss and internal packages, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.listener;

import org.jspecify.annotations.NullMarked;
