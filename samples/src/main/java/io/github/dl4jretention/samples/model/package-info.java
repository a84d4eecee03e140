/**
 * The samples' language models, a byte-level LSTM and a byte-level transformer, and how they are saved with a note of
 * what made them. Calls DL4J and, for a network's hash, the plugin's teacher package.
 */
package io.github.dl4jretention.samples.model;
