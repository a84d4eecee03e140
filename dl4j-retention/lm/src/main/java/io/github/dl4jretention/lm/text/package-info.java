/**
 * Texts to train on: finds documents in files, makes tokens of them, and packs these into minibatches. {@link
 * io.github.dl4jretention.lm.TextDataset} is the door. Calls the core's iterators, the layers of this module, DL4J and
 * ND4J.
 */
@NullMarked
package io.github.dl4jretention.lm.text;

import org.jspecify.annotations.NullMarked;
