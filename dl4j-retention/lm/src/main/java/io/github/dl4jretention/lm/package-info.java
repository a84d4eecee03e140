/**
 * Language models: folders in and out, tokens, texts to train on, and generation. Start at {@link
 * io.github.dl4jretention.lm.LanguageModel}. Calls its subpackages, the core, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.lm;

import org.jspecify.annotations.NullMarked;
