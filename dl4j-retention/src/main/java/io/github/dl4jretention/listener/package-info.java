/**
 * What a training run tells while it runs: reports of loss, divergence, coefficient and gradient, and where they go.
 * Calls the loss package, DL4J and ND4J; {@link io.github.dl4jretention.listener.ReportStatsStorage} and what it posts
 * alone need the artifact deeplearning4j-core.
 */
package io.github.dl4jretention.listener;
