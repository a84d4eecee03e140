/**
 * Text for the samples: where it comes from, how it is split, and how it becomes batches of byte windows. Calls DL4J's
 * data classes only.
 */
package io.github.dl4jretention.samples.text;
