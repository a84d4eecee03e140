package io.github.dl4jretention.lm.onnx;

import java.util.List;
import java.util.Map;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.samediff.frameworkimport.hooks.annotations.PreHookRule;

/** DL4J M2.1's Where doesn't broadcast; a sum of products does. Not for users. */
@PreHookRule(
        nodeNames = {},
        opNames = "Where",
        frameworkName = "onnx")
public final class WhereHook extends NodeHook {

    private static final double ALMOST_INFINITE = 1e30;

    @Override
    SDVariable build(SameDiff sd, String name, List<SDVariable> inputs, Map<String, ?> attributes) {
        SDVariable yes = inputs.get(0).castTo(inputs.get(2).dataType());
        return yes.mul(finite(sd, inputs.get(1))).add(name, yes.rsub(1).mul(finite(sd, inputs.get(2))));
    }

    /** Masks fill with -infinity, which times 0 is NaN. */
    private static SDVariable finite(SameDiff sd, SDVariable values) {
        return values.isConstant() ? sd.clipByValue(values, -ALMOST_INFINITE, ALMOST_INFINITE) : values;
    }
}
