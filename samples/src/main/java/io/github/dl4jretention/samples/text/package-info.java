/**
 * The samples' texts: where they come from, how they are split into training and held-out parts, and how they become
 * minibatches of byte windows. Calls DL4J's data classes only.
 */
package io.github.dl4jretention.samples.text;
