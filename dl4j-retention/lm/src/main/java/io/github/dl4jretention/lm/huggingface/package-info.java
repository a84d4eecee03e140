/**
 * Model folders as the Python world has them, in and out: {@link io.github.dl4jretention.lm.huggingface.ModelFolder}.
 * safetensors files, config.json of each architecture, and which tensor is which parameter. Calls the layers of this
 * module, the core, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.lm.huggingface;

import org.jspecify.annotations.NullMarked;
