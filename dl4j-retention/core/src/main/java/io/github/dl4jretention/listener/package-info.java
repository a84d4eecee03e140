/**
 * What a training run tells while it runs: reports of loss, divergence, coefficient and gradient, and where they go.
 * Calls the loss package, DL4J and ND4J.
 */
package io.github.dl4jretention.listener;
