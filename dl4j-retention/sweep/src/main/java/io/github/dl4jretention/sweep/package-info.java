/**
 * Sweeps: from a pretrained model, texts and a space of candidates to a folder with a report and a recommended
 * operating point. {@link io.github.dl4jretention.sweep.Sweep} is where to start. Calls its own subpackages, the
 * internal package of the core, Arbiter, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.sweep;

import org.jspecify.annotations.NullMarked;
