/**
 * One candidate of a sweep: how it is trained from the pretrained model and measured on held-out text, as a task of
 * Arbiter's. Calls the sweep's spaces, the core's baseline, eval, teacher and loss packages, Arbiter, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.sweep.task;

import org.jspecify.annotations.NullMarked;
