/** Language models that PyTorch exported to ONNX, as SameDiff models that can be finetuned. Calls SameDiff only. */
package io.github.dl4jretention.lm.onnx;
