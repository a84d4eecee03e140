/**
 * The quickstart's experiment: one base model finetuned plainly and with retention, measured on held-out text, and
 * reported. Calls the plugin as a user would, and the samples' texts and models.
 */
package io.github.dl4jretention.samples.experiment;
