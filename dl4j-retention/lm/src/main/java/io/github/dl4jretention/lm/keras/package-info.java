/**
 * Loads language models that Keras 2 saved as DL4J networks: {@link io.github.dl4jretention.lm.keras.KerasModels}.
 * Calls DL4J and its Keras import, and nothing of this library.
 */
@NullMarked
package io.github.dl4jretention.lm.keras;

import org.jspecify.annotations.NullMarked;
