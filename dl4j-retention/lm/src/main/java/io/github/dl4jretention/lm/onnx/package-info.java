/**
 * Loads language models that PyTorch exported to ONNX as SameDiff models: {@link
 * io.github.dl4jretention.lm.onnx.OnnxModels}. The hooks beside it are public for DL4J's search of the class path only.
 * Calls SameDiff and its ONNX import, and nothing of this library.
 */
@NullMarked
package io.github.dl4jretention.lm.onnx;

import org.jspecify.annotations.NullMarked;
