/** Language models that Keras 2 wrote, as DL4J networks that can be finetuned. Calls DL4J only. */
package io.github.dl4jretention.lm.keras;
