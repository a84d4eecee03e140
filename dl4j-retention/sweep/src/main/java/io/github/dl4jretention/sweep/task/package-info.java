/**
 * One candidate of a sweep: its training from the pretrained model, its losses on held-out text and its score, as
 * Arbiter's tasks. Calls the sweep's spaces, the baseline, eval, teacher and loss packages, Arbiter, DL4J and ND4J.
 */
package io.github.dl4jretention.sweep.task;
