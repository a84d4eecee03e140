package io.github.dl4jretention.lm.onnx;

import java.util.List;
import java.util.Map;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.samediff.frameworkimport.hooks.annotations.PreHookRule;

/** Embeddings as one-hot times table: DL4J M2.1's gather loses a gradient where a token comes twice. Not for users. */
@PreHookRule(
        nodeNames = {},
        opNames = "Gather",
        frameworkName = "onnx")
public final class GatherHook extends NodeHook {

    @Override
    SDVariable build(SameDiff sd, String name, List<SDVariable> inputs, Map<String, ?> attributes) {
        SDVariable table = inputs.get(0);
        SDVariable ids = inputs.get(1);
        int axis = (int) number(attributes, "axis", 0);
        if (!table.dataType().isFPType() || rank(table) != 2 || axis != 0) {
            return sd.gather(name, table, ids, axis);
        }
        long[] size = table.getArr().shape();
        SDVariable oneHot = sd.oneHot(ids.reshape(-1), (int) size[0], -1, 1, 0, table.dataType());
        SDVariable shape = sd.concat(0, sd.shape(ids), sd.constant(Nd4j.createFromArray(size[1])));
        return sd.reshape(name, oneHot.mmul(table), shape);
    }
}
