/**
 * The quickstart's experiment: one model finetuned plainly and with retention, measured on held-out text, and
 * reported. Calls the library as your program would, and the samples' texts and models.
 */
@NullMarked
package io.github.dl4jretention.samples.experiment;

import org.jspecify.annotations.NullMarked;
