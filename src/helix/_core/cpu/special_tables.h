/* Made by tools/special_tables.py, which says what is fitted how. Do not edit. */
#ifndef HX_SPECIAL_TABLES_H
#define HX_SPECIAL_TABLES_H


HX_INLINE double i0e_small(double u) {
    double y = 0x1.3dbd870182bdbp-36;
    y = y * u + -0x1.4d33d26bef188p-34;
    y = y * u + 0x1.5f8e739e3f7c6p-33;
    y = y * u + -0x1.48ccaeea78aa0p-31;
    y = y * u + 0x1.74ada6069ae32p-29;
    y = y * u + -0x1.4ff94adac88c4p-27;
    y = y * u + 0x1.1a0583a944fa3p-25;
    y = y * u + -0x1.d680dc91b5af1p-24;
    y = y * u + 0x1.7bde23930356ep-22;
    y = y * u + -0x1.25bfe7e27e1acp-20;
    y = y * u + 0x1.b3f5eef1074a0p-19;
    y = y * u + -0x1.363d7c7783c4bp-17;
    y = y * u + 0x1.a68725ebb3d6bp-16;
    y = y * u + -0x1.12c7b3333f2eep-14;
    y = y * u + 0x1.549d18311d03ep-13;
    y = y * u + -0x1.917ff19601d09p-12;
    y = y * u + 0x1.c0f3edfbb191cp-11;
    y = y * u + -0x1.daf9b73892b85p-10;
    y = y * u + 0x1.da1ab0545d88fp-9;
    y = y * u + -0x1.bd258e7238e2ap-8;
    y = y * u + 0x1.87e866b8d44e2p-7;
    y = y * u + -0x1.427b0996cad93p-6;
    y = y * u + 0x1.ee6f56624ab30p-6;
    y = y * u + -0x1.602411e26bd17p-5;
    y = y * u + 0x1.d11e10f4e739fp-5;
    y = y * u + -0x1.1cd73a8e6f54cp-4;
    y = y * u + 0x1.44b6196a8195cp-4;
    y = y * u + -0x1.5c028fe6476e6p-4;
    y = y * u + 0x1.65c235bfea53fp-4;
    y = y * u + -0x1.6cb8d0c915894p-4;
    y = y * u + 0x1.8322d1d8a3bcdp-4;
    y = y * u + -0x1.cedda0048620cp-4;
    y = y * u + 0x1.a7f09f8eedf5ap-3;
    return y;
}

HX_INLINE double i0e_large(double u) {
    double y = -0x1.36e52c10032d7p-34;
    y = y * u + -0x1.52109c25bd9ecp-36;
    y = y * u + 0x1.1ce14787c5bdep-31;
    y = y * u + 0x1.42a55974d41b8p-33;
    y = y * u + -0x1.e8fd992032bedp-30;
    y = y * u + -0x1.31c908a5dd531p-31;
    y = y * u + 0x1.0ab5ef575d285p-28;
    y = y * u + 0x1.9bbbfe31d81e9p-30;
    y = y * u + -0x1.a9411c5b0ad08p-28;
    y = y * u + -0x1.df1549cddfaf8p-29;
    y = y * u + 0x1.047454ffcb608p-27;
    y = y * u + 0x1.0317d4c7b215ap-27;
    y = y * u + -0x1.77cc956faaa2fp-28;
    y = y * u + -0x1.cc90f59ec1228p-27;
    y = y * u + -0x1.ce768f00b5374p-28;
    y = y * u + 0x1.03896efb09a41p-27;
    y = y * u + 0x1.7224b1828e507p-26;
    y = y * u + 0x1.51ced7b713adcp-25;
    y = y * u + 0x1.7d0f75812d9bcp-24;
    y = y * u + 0x1.3f49a6bcfc2d9p-22;
    y = y * u + 0x1.8e513a1d5e52bp-20;
    y = y * u + 0x1.75e5ee71edd14p-17;
    y = y * u + 0x1.1daa72b5e650cp-13;
    y = y * u + 0x1.b87969bb93b75p-9;
    y = y * u + 0x1.9bd428ad249a5p-2;
    return y;
}

HX_INLINE double i0e_small_short(double u) {
    double y = -0x1.13d1967d9f200p-13;
    y = y * u + 0x1.6d284185c643fp-12;
    y = y * u + -0x1.dc8901e1b5649p-13;
    y = y * u + 0x1.b2857af2838fap-12;
    y = y * u + -0x1.06bb0c39704c5p-9;
    y = y * u + 0x1.110624fc96c6cp-8;
    y = y * u + -0x1.b3e84d286a133p-8;
    y = y * u + 0x1.7ab61c0054cc2p-7;
    y = y * u + -0x1.43841a8386c27p-6;
    y = y * u + 0x1.f165a1e0857c9p-6;
    y = y * u + -0x1.600020e8185f1p-5;
    y = y * u + 0x1.d0b7256b4fa39p-5;
    y = y * u + -0x1.1cda042ace50ap-4;
    y = y * u + 0x1.44be1634c36a8p-4;
    y = y * u + -0x1.5c0257dbb07b2p-4;
    y = y * u + 0x1.65c1951a29650p-4;
    y = y * u + -0x1.6cb8d27d06b97p-4;
    y = y * u + 0x1.8322d6ba939adp-4;
    y = y * u + -0x1.cedda00257d1bp-4;
    y = y * u + 0x1.a7f09f8bcd880p-3;
    return y;
}

HX_INLINE double i0e_large_short(double u) {
    double y = 0x1.20ede94d34bdep-25;
    y = y * u + 0x1.d49747a145d29p-24;
    y = y * u + 0x1.463d010b3e4a0p-22;
    y = y * u + 0x1.8c11e9e2c5df0p-20;
    y = y * u + 0x1.75d91e60aa877p-17;
    y = y * u + 0x1.1dab29fa3a14ep-13;
    y = y * u + 0x1.b8796a2484ee8p-9;
    y = y * u + 0x1.9bd428ac75fd1p-2;
    return y;
}

HX_INLINE double k0_small(double u) {
    double y = 0x1.3cedab180ab08p-45;
    y = y * u + 0x1.7fb0ac381534bp-38;
    y = y * u + 0x1.6c1aa01a0e336p-31;
    y = y * u + 0x1.05b538f8f6e08p-24;
    y = y * u + 0x1.1017e4b1b1aaep-18;
    y = y * u + 0x1.7f5efc9e66850p-13;
    y = y * u + 0x1.4b2ddc22e96bap-8;
    y = y * u + 0x1.25ffa680678fdp-4;
    y = y * u + 0x1.5cab546883284p-2;
    y = y * u + -0x1.36e85d283cd69p-2;
    return y;
}

HX_INLINE double k0_large(double u) {
    double y = 0x1.5ca344eba6664p-35;
    y = y * u + -0x1.2c5914ecdc72bp-34;
    y = y * u + -0x1.1af9aa296c556p-33;
    y = y * u + 0x1.dc945dd5ecbdfp-33;
    y = y * u + 0x1.582cee716b058p-32;
    y = y * u + -0x1.2a439bae20549p-31;
    y = y * u + -0x1.1d50a15a69a29p-33;
    y = y * u + 0x1.65526bdee8305p-33;
    y = y * u + 0x1.052b3aba673fap-30;
    y = y * u + -0x1.0762ee2e77f1ap-29;
    y = y * u + 0x1.bd0377cd75970p-29;
    y = y * u + -0x1.f54b9dd3d6409p-28;
    y = y * u + 0x1.2901e0b69b5a5p-26;
    y = y * u + -0x1.6312e7449c997p-25;
    y = y * u + 0x1.b9e60bc7808acp-24;
    y = y * u + -0x1.20bcb42acfdadp-22;
    y = y * u + 0x1.8ec889b2b1fe5p-21;
    y = y * u + -0x1.26184aa31b9c4p-19;
    y = y * u + 0x1.d5e9a4aa78838p-18;
    y = y * u + -0x1.9efce50a8b744p-16;
    y = y * u + 0x1.a19652e836825p-14;
    y = y * u + -0x1.f7130688faac2p-12;
    y = y * u + 0x1.8d86f6465d98ap-9;
    y = y * u + -0x1.fd1328181db43p-6;
    y = y * u + 0x1.37f5dd35f91a9p+0;
    return y;
}

HX_INLINE double j0_near(double u) {
    double y = -0x1.a311850eb27d0p-57;
    y = y * u + 0x1.cdf6a8839a92dp-52;
    y = y * u + -0x1.c0362c28ebde7p-47;
    y = y * u + 0x1.7df1408c1a4d3p-42;
    y = y * u + -0x1.1a4d97899bc1ep-37;
    y = y * u + 0x1.65ec7d71795b2p-33;
    y = y * u + -0x1.801f7f338b82ep-29;
    y = y * u + 0x1.577f683b94389p-25;
    y = y * u + -0x1.f633ea85ead73p-22;
    y = y * u + 0x1.250f53798040dp-18;
    y = y * u + -0x1.08db6a2de263fp-15;
    y = y * u + 0x1.6409a6fd7b18ap-13;
    y = y * u + -0x1.5059ea69f58a4p-11;
    y = y * u + 0x1.99e65104a68d3p-10;
    y = y * u + -0x1.15d87e4b8d5b1p-9;
    y = y * u + 0x1.2bc29174dd587p-10;
    return y;
}

HX_INLINE double y0_near(double u) {
    double y = -0x1.7af77ef54990ap-51;
    y = y * u + 0x1.ccd0becf2d24cp-46;
    y = y * u + -0x1.effd1aa69e5eap-41;
    y = y * u + 0x1.d7ca8824f3bd7p-36;
    y = y * u + -0x1.88011ab9784f7p-31;
    y = y * u + 0x1.1998aadbcc14fp-26;
    y = y * u + -0x1.5995ab1ecea19p-22;
    y = y * u + 0x1.651b8eda00960p-18;
    y = y * u + -0x1.31537c5ccd77ep-14;
    y = y * u + 0x1.a6a8c6c9838dap-11;
    y = y * u + -0x1.cc706012361fcp-8;
    y = y * u + 0x1.7bd6bf2ce921ap-5;
    y = y * u + -0x1.c06cc647f6aa5p-3;
    y = y * u + 0x1.5827981135a27p-1;
    y = y * u + -0x1.13da2b14a486ep+0;
    y = y * u + 0x1.272bb3b608b42p-3;
    y = y * u + 0x1.a5a81d661f788p+0;
    y = y * u + -0x1.a828bfbfdc936p-1;
    y = y * u + -0x1.876cb72f1c7ebp-2;
    return y;
}

HX_INLINE double bessel0_p(double u) {
    double y = 0x1.22b44c20d0316p-45;
    y = y * u + -0x1.cd307ea16673bp-44;
    y = y * u + 0x1.17f8dc5380d8dp-42;
    y = y * u + -0x1.1dfebdb694fecp-40;
    y = y * u + 0x1.50974ec72d485p-38;
    y = y * u + -0x1.b63de0806d6e6p-36;
    y = y * u + 0x1.54dd83c570ec3p-33;
    y = y * u + -0x1.4d2ea7b5ff916p-30;
    y = y * u + 0x1.b7ef129d0c349p-27;
    y = y * u + -0x1.b8d2d71a55f10p-23;
    y = y * u + 0x1.9be00160e48adp-18;
    y = y * u + -0x1.193600c1de9e4p-11;
    y = y * u + 0x1.ffb8dd328503dp-1;
    return y;
}

HX_INLINE double bessel0_q(double u) {
    double y = -0x1.5c372909e604fp-45;
    y = y * u + 0x1.c9af9c3d116f0p-44;
    y = y * u + -0x1.36db567656e35p-43;
    y = y * u + 0x1.03a67054839f2p-41;
    y = y * u + -0x1.0668091946277p-39;
    y = y * u + 0x1.e92000e832cd3p-38;
    y = y * u + -0x1.f921a9be4b876p-36;
    y = y * u + 0x1.2b95c69e41f96p-33;
    y = y * u + -0x1.a08311da2b2a8p-31;
    y = y * u + 0x1.61a5760762203p-28;
    y = y * u + -0x1.858d1bacfdbf7p-25;
    y = y * u + 0x1.3135a899d41e7p-21;
    y = y * u + -0x1.8c84352849033p-17;
    y = y * u + 0x1.1e9a6138feebbp-11;
    y = y * u + -0x1.fdb5c0b2f3d5bp-4;
    return y;
}

__attribute__((unused)) static const double j0_zeros[2][2] = {
    {0x1.33d152e971b40p+1, -0x1.0f539d7da258ep-53},
    {0x1.6148f5b2c2e45p+2, 0x1.75054cd60a517p-54}};

HX_INLINE double i1e_small(double u) {
    double y = 0x1.6deb8fcbeb39cp-40;
    y = y * u + -0x1.8d2002e99ffe4p-38;
    y = y * u + 0x1.cd4e1bbbd1547p-37;
    y = y * u + -0x1.c384774cc5515p-35;
    y = y * u + 0x1.0184cbd7e2564p-32;
    y = y * u + -0x1.e4372db91e563p-31;
    y = y * u + 0x1.ac51b4c287ff2p-29;
    y = y * u + -0x1.76ae4c9abbc28p-27;
    y = y * u + 0x1.3d705b51f1d7fp-25;
    y = y * u + -0x1.0285cecab1e65p-23;
    y = y * u + 0x1.953ac97d8edddp-22;
    y = y * u + -0x1.3167d31788852p-20;
    y = y * u + 0x1.b9ea4e2f8669cp-19;
    y = y * u + -0x1.326bf48ec297ep-17;
    y = y * u + 0x1.96971d8684f4bp-16;
    y = y * u + -0x1.01a4192539182p-14;
    y = y * u + 0x1.3742cff71d455p-13;
    y = y * u + -0x1.65bf68735dde2p-12;
    y = y * u + 0x1.8656c68cde370p-11;
    y = y * u + -0x1.9368266907960p-10;
    y = y * u + 0x1.89f8a64581138p-9;
    y = y * u + -0x1.6ab6a38914c06p-8;
    y = y * u + 0x1.3a0c1a03c5929p-7;
    y = y * u + -0x1.fe3d9c018facbp-7;
    y = y * u + 0x1.84125b0d004e5p-6;
    y = y * u + -0x1.13d5f358a54c9p-5;
    y = y * u + 0x1.6df95e8be143fp-5;
    y = y * u + -0x1.c4daa51341c39p-5;
    y = y * u + 0x1.0530f817ff9e3p-4;
    y = y * u + -0x1.1881379ffb5c2p-4;
    y = y * u + 0x1.16c390ddb08edp-4;
    y = y * u + -0x1.f4bb071a7752bp-5;
    y = y * u + 0x1.6e14eb8e5d319p-5;
    return y;
}

HX_INLINE double i1e_large(double u) {
    double y = 0x1.432b0a4121172p-34;
    y = y * u + 0x1.33e83e12ca3b4p-36;
    y = y * u + -0x1.2839623e2341cp-31;
    y = y * u + -0x1.272ae05110368p-33;
    y = y * u + 0x1.fce6b32270b52p-30;
    y = y * u + 0x1.1aee882806184p-31;
    y = y * u + -0x1.162964d5f91dbp-28;
    y = y * u + -0x1.858c7591014bdp-30;
    y = y * u + 0x1.bdc8daed57db9p-28;
    y = y * u + 0x1.d4345a69bfc30p-29;
    y = y * u + -0x1.1465ce7d29637p-27;
    y = y * u + -0x1.0630cddd4e099p-27;
    y = y * u + 0x1.9f203cf2783b7p-28;
    y = y * u + 0x1.e20e7d69649cap-27;
    y = y * u + 0x1.cd81846fb3ff1p-28;
    y = y * u + -0x1.21895bb7ba33fp-27;
    y = y * u + -0x1.9180f82a1d429p-26;
    y = y * u + -0x1.727a73a8063a8p-25;
    y = y * u + -0x1.ad8db6e1fecbbp-24;
    y = y * u + -0x1.76137e6905189p-22;
    y = y * u + -0x1.ec8e101744487p-20;
    y = y * u + -0x1.f89c23066d278p-17;
    y = y * u + -0x1.cbc54df1ece76p-13;
    y = y * u + -0x1.3f796198ee628p-7;
    y = y * u + 0x1.8ebe783a84030p-2;
    return y;
}

HX_INLINE double i1e_small_short(double u) {
    double y = -0x1.1c5677ced4fc3p-16;
    y = y * u + 0x1.8e488d62e00f5p-15;
    y = y * u + -0x1.6a32550bd8febp-15;
    y = y * u + 0x1.893ffdf9dfc91p-14;
    y = y * u + -0x1.7d4f4422fa496p-12;
    y = y * u + 0x1.a9bf3ae0c0615p-11;
    y = y * u + -0x1.8f1b4d3c433aap-10;
    y = y * u + 0x1.837f136c47596p-9;
    y = y * u + -0x1.6b31caab54c42p-8;
    y = y * u + 0x1.3ac5c4c331107p-7;
    y = y * u + -0x1.fe2cee162b636p-7;
    y = y * u + 0x1.83f93049d674fp-6;
    y = y * u + -0x1.13d698cd3d2bdp-5;
    y = y * u + 0x1.6dfb52204b1c0p-5;
    y = y * u + -0x1.c4da981688137p-5;
    y = y * u + 0x1.0530e47adc360p-4;
    y = y * u + -0x1.188137d27b6cdp-4;
    y = y * u + 0x1.16c3917640d1cp-4;
    y = y * u + -0x1.f4bb0719f5fa9p-5;
    y = y * u + 0x1.6e14eb8cd66cbp-5;
    return y;
}

HX_INLINE double i1e_large_short(double u) {
    double y = -0x1.452e4764e49e5p-25;
    y = y * u + -0x1.08893a744e8a6p-23;
    y = y * u + -0x1.7cfc0d8e4b86fp-22;
    y = y * u + -0x1.e9e58599225d8p-20;
    y = y * u + -0x1.f88f405d331b0p-17;
    y = y * u + -0x1.cbc62cce289f4p-13;
    y = y * u + -0x1.3f7961b35d006p-7;
    y = y * u + 0x1.8ebe783b59c09p-2;
    return y;
}

HX_INLINE double k1_small(double u) {
    double y = -0x1.5dd47b610a450p-41;
    y = y * u + -0x1.77502ddcbfd3dp-34;
    y = y * u + -0x1.36576f0c0c032p-27;
    y = y * u + -0x1.7c2a5c42e5510p-21;
    y = y * u + -0x1.46794073460cep-15;
    y = y * u + -0x1.6a96e3d822f4ep-10;
    y = y * u + -0x1.c85d2154bc9a8p-6;
    y = y * u + -0x1.f3619d57ef055p-3;
    y = y * u + -0x1.5436f9149884fp-2;
    y = y * u + 0x1.c52a4ac3be112p-1;
    return y;
}

HX_INLINE double k1_large(double u) {
    double y = -0x1.7add791d26336p-35;
    y = y * u + 0x1.4715c9a0daebdp-34;
    y = y * u + 0x1.323f18a0a2040p-33;
    y = y * u + -0x1.024ba5a239fa6p-32;
    y = y * u + -0x1.7668ee5ce67d4p-32;
    y = y * u + 0x1.455444685900dp-31;
    y = y * u + 0x1.26bce8c2c30d7p-33;
    y = y * u + -0x1.649222ce57d35p-33;
    y = y * u + -0x1.24825af6980ecp-30;
    y = y * u + 0x1.28e0d72f47c04p-29;
    y = y * u + -0x1.fe2c4249c84cdp-29;
    y = y * u + 0x1.2141baf46142fp-27;
    y = y * u + -0x1.58f4559b12428p-26;
    y = y * u + 0x1.a0416111dbefap-25;
    y = y * u + -0x1.05e7d57284bedp-23;
    y = y * u + 0x1.5acc9fdcc24a2p-22;
    y = y * u + -0x1.e6cadbca20b66p-21;
    y = y * u + 0x1.6e6b814f3d813p-19;
    y = y * u + -0x1.2cb02c8724844p-17;
    y = y * u + 0x1.1383aa0bfda2bp-15;
    y = y * u + -0x1.24bdedb38f1fcp-13;
    y = y * u + 0x1.81bb39794108bp-11;
    y = y * u + -0x1.6cd23ac7d4164p-8;
    y = y * u + 0x1.a7520dfb3f99fp-4;
    y = y * u + 0x1.5cf785b4a0203p+0;
    return y;
}

HX_INLINE double j1_near(double u) {
    double y = -0x1.7548b60128efcp-62;
    y = y * u + 0x1.b3c420a2b6f1fp-57;
    y = y * u + -0x1.c1795bc2cc8e0p-52;
    y = y * u + 0x1.98addda435555p-47;
    y = y * u + -0x1.43c20c0937decp-42;
    y = y * u + 0x1.ba3fb31fb11c6p-38;
    y = y * u + -0x1.0137e01b69868p-33;
    y = y * u + 0x1.f62979d659466p-30;
    y = y * u + -0x1.941a82675763fp-26;
    y = y * u + 0x1.06438a6958c8ep-22;
    y = y * u + -0x1.0af8bb9889ba1p-19;
    y = y * u + 0x1.9ac7788fbda1dp-17;
    y = y * u + -0x1.c5a7fc38dd1d3p-15;
    y = y * u + 0x1.4c9bd11c0aa3bp-13;
    y = y * u + -0x1.1adb1329ed86fp-12;
    y = y * u + 0x1.98ec1eee7c01ap-13;
    return y;
}

HX_INLINE double y1_near(double u) {
    double y = -0x1.489bbc9daf860p-56;
    y = y * u + 0x1.a7116c2189c80p-51;
    y = y * u + -0x1.e411a981655dcp-46;
    y = y * u + 0x1.eb6369538e118p-41;
    y = y * u + -0x1.b5d40ea73d302p-36;
    y = y * u + 0x1.532f686d70a8fp-31;
    y = y * u + -0x1.c3f1d8ed81411p-27;
    y = y * u + 0x1.ff34fc77196bap-23;
    y = y * u + -0x1.e35169de5c772p-19;
    y = y * u + 0x1.76c164b8551ecp-15;
    y = y * u + -0x1.d1604f9ccacf4p-12;
    y = y * u + 0x1.c097bb98fdbc4p-9;
    y = y * u + -0x1.4198f92a31f2bp-6;
    y = y * u + 0x1.41bb6917b15dbp-4;
    y = y * u + -0x1.923952d7c42a6p-3;
    y = y * u + 0x1.e16d7a1d07b70p-3;
    y = y * u + 0x1.7edab31507d03p-6;
    y = y * u + -0x1.f26fddceafd0ep-3;
    y = y * u + 0x1.21d516f81acf6p-4;
    return y;
}

HX_INLINE double bessel1_p(double u) {
    double y = -0x1.34b5237c76148p-45;
    y = y * u + 0x1.eb6c4c52846a2p-44;
    y = y * u + -0x1.2c7e37bcb0e8ap-42;
    y = y * u + 0x1.34716193951d9p-40;
    y = y * u + -0x1.6d0448dc7998bp-38;
    y = y * u + 0x1.df1be0c9c32f5p-36;
    y = y * u + -0x1.78b886ec4dd32p-33;
    y = y * u + 0x1.75ea6572a7f3cp-30;
    y = y * u + -0x1.f96171be525d9p-27;
    y = y * u + 0x1.077626543cbbcp-22;
    y = y * u + -0x1.0b1541bfc1a50p-17;
    y = y * u + 0x1.d73b8ea3c10e5p-11;
    y = y * u + 0x1.003b716033732p+0;
    return y;
}

HX_INLINE double bessel1_q(double u) {
    double y = 0x1.6f044f2b7f8d2p-45;
    y = y * u + -0x1.e37e7306a7240p-44;
    y = y * u + 0x1.4af02165d68cfp-43;
    y = y * u + -0x1.1528cc57af727p-41;
    y = y * u + 0x1.1882a11595d42p-39;
    y = y * u + -0x1.069f2d4690fb8p-37;
    y = y * u + 0x1.10c4a3a300f0fp-35;
    y = y * u + -0x1.45d24c1553b8dp-33;
    y = y * u + 0x1.c92e10eca7a23p-31;
    y = y * u + -0x1.8922f957a2ee5p-28;
    y = y * u + 0x1.b9302a873b418p-25;
    y = y * u + -0x1.642312741e464p-21;
    y = y * u + 0x1.e8e009ca8f2fcp-17;
    y = y * u + -0x1.938da0a0a6a19p-11;
    y = y * u + 0x1.7f323705062fbp-2;
    return y;
}

__attribute__((unused)) static const double j1_zeros[2][2] = {
    {0x1.ea75575af6f09p+1, -0x1.60155a9d1b256p-53},
    {0x1.c0ff5f3b47250p+2, -0x1.b226d9d243827p-54}};

HX_INLINE double erfinv_near(double u) {
    double y = 0x1.ace756859e33ap-31;
    y = y * u + -0x1.7943526054c85p-34;
    y = y * u + -0x1.286d931b525f7p-27;
    y = y * u + 0x1.37b6d2ede04acp-27;
    y = y * u + 0x1.51b6d83b10caep-25;
    y = y * u + -0x1.c39d8ba95df48p-24;
    y = y * u + -0x1.65c703ccb827bp-27;
    y = y * u + 0x1.24f0792b27f89p-21;
    y = y * u + -0x1.1c4e17253da66p-20;
    y = y * u + -0x1.712e9bbf5975bp-21;
    y = y * u + 0x1.de7b6e9c9a48dp-18;
    y = y * u + -0x1.79ad54de00827p-17;
    y = y * u + -0x1.f83eaa8301e2fp-17;
    y = y * u + 0x1.879bf9b660a90p-14;
    y = y * u + -0x1.ea4472a80be62p-14;
    y = y * u + -0x1.153c9cea11803p-12;
    y = y * u + 0x1.4316b4de70ff3p-10;
    y = y * u + -0x1.4d5dd2f601d97p-10;
    y = y * u + -0x1.0f249df1e0f4cp-8;
    y = y * u + 0x1.23c5aee6d7623p-6;
    y = y * u + -0x1.7259eca3a0e6ap-6;
    y = y * u + -0x1.e2b19456a0d5cp-5;
    y = y * u + 0x1.8040caa12786bp-1;
    y = y * u + 0x1.a755e7c99ae86p+0;
    return y;
}

HX_INLINE double erfinv_far(double u) {
    double y = -0x1.4996fe0c89270p-25;
    y = y * u + 0x1.0c9e71917923ep-23;
    y = y * u + -0x1.9503ab80d7212p-28;
    y = y * u + -0x1.0413ae3a57f7fp-21;
    y = y * u + 0x1.ef6ef199783afp-21;
    y = y * u + -0x1.f5afdae4cb569p-21;
    y = y * u + -0x1.75d4f84a0d648p-23;
    y = y * u + 0x1.2330f75e7cb75p-18;
    y = y * u + -0x1.6d1710cae7550p-17;
    y = y * u + 0x1.8f614c645ae09p-17;
    y = y * u + 0x1.c78a8644a23c2p-19;
    y = y * u + -0x1.393c2e323ff8bp-15;
    y = y * u + 0x1.36074dc29fbe1p-14;
    y = y * u + -0x1.49f9e574c74b7p-14;
    y = y * u + 0x1.118f92c93920dp-16;
    y = y * u + 0x1.f7afc0c00b792p-14;
    y = y * u + -0x1.330084382820ap-12;
    y = y * u + 0x1.c9d91eafbee7ep-12;
    y = y * u + -0x1.078d81bef7684p-11;
    y = y * u + 0x1.051fdbdff6f33p-11;
    y = y * u + -0x1.055b1de4cadc9p-11;
    y = y * u + 0x1.4efd2c534c425p-11;
    y = y * u + -0x1.20e55287bc8c6p-10;
    y = y * u + 0x1.0edbfe1b437f5p-9;
    y = y * u + -0x1.b16f1e52ef93fp-9;
    y = y * u + 0x1.0947d8eeb5854p-9;
    y = y * u + 0x1.d16dc492e94a1p+0;
    y = y * u + 0x1.092264081b66fp+2;
    return y;
}

__attribute__((unused)) static const double logarithms[128][3] = {
    {0x1.0000000000000p+0, 0x0.0p+0, 0x0.0p+0},
    {0x1.fa00000000000p-1, 0x1.82448a3880000p-7, 0x1.4554412c584e0p-44},
    {0x1.f600000000000p-1, 0x1.432a925980000p-6, 0x1.98139928637fep-47},
    {0x1.f200000000000p-1, 0x1.c63d2ec140000p-6, 0x1.55e318fe7acbdp-43},
    {0x1.ee00000000000p-1, 0x1.252f32f8e0000p-5, -0x1.cf82ca3fbc931p-42},
    {0x1.ea00000000000p-1, 0x1.67c94f2d40000p-5, 0x1.76b08209f3283p-42},
    {0x1.e800000000000p-1, 0x1.894aa14a00000p-5, -0x1.32f32ba0b44d0p-43},
    {0x1.e400000000000p-1, 0x1.ccb73cdde0000p-5, -0x1.34d1e48fb0501p-43},
    {0x1.e000000000000p-1, 0x1.08598b59e0000p-4, 0x1.d034451fecdfbp-43},
    {0x1.dc00000000000p-1, 0x1.2aa04a4470000p-4, 0x1.7a48ba8b1cb41p-44},
    {0x1.da00000000000p-1, 0x1.3bdf5a7d20000p-4, -0x1.19bd0ad125895p-44},
    {0x1.d600000000000p-1, 0x1.5e95a4d980000p-4, -0x1.b8d20c78ba3a4p-42},
    {0x1.d200000000000p-1, 0x1.8197e2f410000p-4, -0x1.c0fe460d20041p-44},
    {0x1.d000000000000p-1, 0x1.9335e5d590000p-4, 0x1.2622b8757a8fbp-42},
    {0x1.cc00000000000p-1, 0x1.b6ac88dad0000p-4, 0x1.6c6f7fd408972p-42},
    {0x1.c800000000000p-1, 0x1.da72763840000p-4, 0x1.1a89401fa7173p-42},
    {0x1.c600000000000p-1, 0x1.ec739830a0000p-4, 0x1.11fcba80cdd10p-44},
    {0x1.c200000000000p-1, 0x1.08598b59e0000p-3, 0x1.d034451fecdfbp-42},
    {0x1.c000000000000p-1, 0x1.1178e82280000p-3, -0x1.b8421cc74be04p-43},
    {0x1.bc00000000000p-1, 0x1.23d712a4a0000p-3, -0x1.eff2dc702c20ap-42},
    {0x1.ba00000000000p-1, 0x1.2d1610c868000p-3, 0x1.39d6ccb81b4a1p-47},
    {0x1.b600000000000p-1, 0x1.3fb45a5990000p-3, 0x1.465c4f032b956p-42},
    {0x1.b400000000000p-1, 0x1.4913d83338000p-3, 0x1.ab06f2a9fb6cfp-42},
    {0x1.b000000000000p-1, 0x1.5bf406b540000p-3, 0x1.ed8fdc149767ep-42},
    {0x1.ae00000000000p-1, 0x1.6574ebe8c0000p-3, 0x1.339f1658785cfp-43},
    {0x1.aa00000000000p-1, 0x1.7898d85448000p-3, -0x1.9c66107091430p-42},
    {0x1.a800000000000p-1, 0x1.823c165518000p-3, 0x1.1e0ddb9a631e8p-42},
    {0x1.a600000000000p-1, 0x1.8beafeb390000p-3, -0x1.73d54aae92cd1p-47},
    {0x1.a200000000000p-1, 0x1.9f6c407088000p-3, 0x1.664135a19605ep-43},
    {0x1.a000000000000p-1, 0x1.a93ed3c8b0000p-3, -0x1.30e486a0ac42dp-42},
    {0x1.9e00000000000p-1, 0x1.b31d8575c0000p-3, -0x1.8e1ac6a75670dp-42},
    {0x1.9a00000000000p-1, 0x1.c6ffbc6f00000p-3, 0x1.ee138d3a69d43p-44},
    {0x1.9800000000000p-1, 0x1.d1037f2658000p-3, -0x1.0c253f3adb7b7p-42},
    {0x1.9600000000000p-1, 0x1.db13db0d48000p-3, 0x1.2806a847527e6p-44},
    {0x1.9400000000000p-1, 0x1.e530effe70000p-3, 0x1.01212276041f4p-43},
    {0x1.9000000000000p-1, 0x1.f991c6cb38000p-3, 0x1.9bcbecca0cdf3p-42},
    {0x1.8e00000000000p-1, 0x1.01eae5626c000p-2, 0x1.a43dcfade85aep-44},
    {0x1.8c00000000000p-1, 0x1.07138604d4000p-2, 0x1.862736c5bb53ap-42},
    {0x1.8a00000000000p-1, 0x1.0c42d67618000p-2, -0x1.d1cee9d3862a3p-42},
    {0x1.8800000000000p-1, 0x1.1178e82280000p-2, -0x1.b8421cc74be04p-42},
    {0x1.8400000000000p-1, 0x1.1bf99635a8000p-2, -0x1.46b2255d70849p-42},
    {0x1.8200000000000p-1, 0x1.214456d0ec000p-2, -0x1.caf0428b728a3p-44},
    {0x1.8000000000000p-1, 0x1.269621134c000p-2, 0x1.b92783beb7677p-42},
    {0x1.7e00000000000p-1, 0x1.2bef07cdc8000p-2, 0x1.3539f494a009ep-42},
    {0x1.7c00000000000p-1, 0x1.314f1e1d34000p-2, 0x1.ce3b0a59bd869p-42},
    {0x1.7a00000000000p-1, 0x1.36b6776be0000p-2, 0x1.116ecdb0f177cp-42},
    {0x1.7800000000000p-1, 0x1.3c25277334000p-2, -0x1.cf895693f2854p-43},
    {0x1.7600000000000p-1, 0x1.419b423d60000p-2, -0x1.738de489b78fbp-42},
    {0x1.7400000000000p-1, 0x1.4718dc271c000p-2, 0x1.06c18fb4c14c5p-44},
    {0x1.7200000000000p-1, 0x1.4c9e09e174000p-2, -0x1.3c41123615b14p-42},
    {0x1.7000000000000p-1, 0x1.522ae0738c000p-2, -0x1.c2831efd36715p-42},
    {0x1.6e00000000000p-1, 0x1.57bf753c8c000p-2, 0x1.1fadedee5d40fp-42},
    {0x1.6c00000000000p-1, 0x1.5d5bddf594000p-2, 0x1.f2fa6afbadcd1p-42},
    {0x1.6a00000000000p+0, -0x1.62c82f2b9c000p-2, -0x1.e54bdbd7c8a98p-44},
    {0x1.6800000000000p+0, -0x1.5d1bdbf580000p-2, -0x1.394a11b1c1ee4p-43},
    {0x1.6600000000000p+0, -0x1.5767717454000p-2, -0x1.a6c549ab6ca0ep-42},
    {0x1.6400000000000p+0, -0x1.51aad872e0000p-2, 0x1.f4bd8db0a7cc1p-44},
    {0x1.6200000000000p+0, -0x1.4be5f95778000p-2, 0x1.d7c92cd9ad824p-44},
    {0x1.6000000000000p+0, -0x1.4618bc21c4000p-2, -0x1.ec27d0b7b37b3p-42},
    {0x1.5e00000000000p+0, -0x1.404308686c000p-2, 0x1.81c42f3ed820bp-42},
    {0x1.5c00000000000p+0, -0x1.3a64c55694000p-2, -0x1.7a71cbcd735d0p-44},
    {0x1.5a00000000000p+0, -0x1.347dd9a988000p-2, 0x1.5594dd4c58092p-45},
    {0x1.5800000000000p+0, -0x1.2e8e2bae10000p-2, -0x1.d309c2cc91a85p-42},
    {0x1.5600000000000p+0, -0x1.2895a13de8000p-2, -0x1.a8d7ad24c13f0p-44},
    {0x1.5400000000000p+0, -0x1.22941fbcf8000p-2, 0x1.a6976f5eb0963p-44},
    {0x1.5200000000000p+0, -0x1.1c898c1698000p-2, -0x1.9fafbc68e7540p-42},
    {0x1.5000000000000p+0, -0x1.1675cababc000p-2, 0x1.9f1fc63382a8fp-42},
    {0x1.5000000000000p+0, -0x1.1675cababc000p-2, 0x1.9f1fc63382a8fp-42},
    {0x1.4e00000000000p+0, -0x1.1058bf9ae4000p-2, -0x1.5aa313f415699p-43},
    {0x1.4c00000000000p+0, -0x1.0a324e2738000p-2, -0x1.0e35f73f7a018p-42},
    {0x1.4a00000000000p+0, -0x1.0402594b4c000p-2, -0x1.040dae27bd0b6p-42},
    {0x1.4800000000000p+0, -0x1.fb9186d5e0000p-3, -0x1.f1546aaa3361cp-42},
    {0x1.4600000000000p+0, -0x1.ef0adcbdc8000p-3, 0x1.364d6f390d5e4p-42},
    {0x1.4600000000000p+0, -0x1.ef0adcbdc8000p-3, 0x1.364d6f390d5e4p-42},
    {0x1.4400000000000p+0, -0x1.e27076e2b0000p-3, 0x1.a342c2af0003cp-44},
    {0x1.4200000000000p+0, -0x1.d5c216b4f8000p-3, -0x1.dc8adc886b2fdp-42},
    {0x1.4000000000000p+0, -0x1.c8ff7c79a8000p-3, -0x1.a21ac25d81ef3p-43},
    {0x1.3e00000000000p+0, -0x1.bc286742d8000p-3, -0x1.9ac53f39d121cp-44},
    {0x1.3e00000000000p+0, -0x1.bc286742d8000p-3, -0x1.9ac53f39d121cp-44},
    {0x1.3c00000000000p+0, -0x1.af3c94e808000p-3, -0x1.ff96c67300c9cp-42},
    {0x1.3a00000000000p+0, -0x1.a23bc1fe28000p-3, -0x1.ab18c9b88d83dp-42},
    {0x1.3800000000000p+0, -0x1.9525a9cf48000p-3, 0x1.4a5c4df67c564p-42},
    {0x1.3800000000000p+0, -0x1.9525a9cf48000p-3, 0x1.4a5c4df67c564p-42},
    {0x1.3600000000000p+0, -0x1.87fa065210000p-3, 0x1.b77b7effb7f41p-42},
    {0x1.3400000000000p+0, -0x1.7ab8902110000p-3, 0x1.37b720e4a694bp-42},
    {0x1.3200000000000p+0, -0x1.6d60fe71a0000p-3, 0x1.6f1b955c4d1dap-42},
    {0x1.3200000000000p+0, -0x1.6d60fe71a0000p-3, 0x1.6f1b955c4d1dap-42},
    {0x1.3000000000000p+0, -0x1.5ff3070a78000p-3, -0x1.3d3c873e20a07p-43},
    {0x1.2e00000000000p+0, -0x1.526e5e3a18000p-3, -0x1.a1bd17200eb72p-42},
    {0x1.2e00000000000p+0, -0x1.526e5e3a18000p-3, -0x1.a1bd17200eb72p-42},
    {0x1.2c00000000000p+0, -0x1.44d2b6ccb8000p-3, 0x1.70cc16135783cp-46},
    {0x1.2a00000000000p+0, -0x1.371fc201e8000p-3, -0x1.ee8779b2d8abcp-44},
    {0x1.2a00000000000p+0, -0x1.371fc201e8000p-3, -0x1.ee8779b2d8abcp-44},
    {0x1.2800000000000p+0, -0x1.29552f8200000p-3, 0x1.5b967f4471dfcp-44},
    {0x1.2600000000000p+0, -0x1.1b72ad52f8000p-3, 0x1.85fd6f9fb971ap-43},
    {0x1.2600000000000p+0, -0x1.1b72ad52f8000p-3, 0x1.85fd6f9fb971ap-43},
    {0x1.2400000000000p+0, -0x1.0d77e7cd08000p-3, -0x1.cb2cd2ee2f482p-44},
    {0x1.2200000000000p+0, -0x1.fec9131dc0000p-4, 0x1.54555d1ae6607p-44},
    {0x1.2200000000000p+0, -0x1.fec9131dc0000p-4, 0x1.54555d1ae6607p-44},
    {0x1.2000000000000p+0, -0x1.e27076e2b0000p-4, 0x1.a342c2af0003cp-45},
    {0x1.1e00000000000p+0, -0x1.c5e548f5c0000p-4, 0x1.c5e7514f4083fp-43},
    {0x1.1e00000000000p+0, -0x1.c5e548f5c0000p-4, 0x1.c5e7514f4083fp-43},
    {0x1.1c00000000000p+0, -0x1.a926d3a4b0000p-4, 0x1.54e4d7a16eab2p-43},
    {0x1.1c00000000000p+0, -0x1.a926d3a4b0000p-4, 0x1.54e4d7a16eab2p-43},
    {0x1.1a00000000000p+0, -0x1.8c345d6320000p-4, 0x1.937c294d2f567p-42},
    {0x1.1800000000000p+0, -0x1.6f0d28ae50000p-4, -0x1.ad2e6f9266e7bp-42},
    {0x1.1800000000000p+0, -0x1.6f0d28ae50000p-4, -0x1.ad2e6f9266e7bp-42},
    {0x1.1600000000000p+0, -0x1.51b073f060000p-4, -0x1.83f69278e686ap-44},
    {0x1.1600000000000p+0, -0x1.51b073f060000p-4, -0x1.83f69278e686ap-44},
    {0x1.1400000000000p+0, -0x1.341d7961c0000p-4, 0x1.717b6b33e44f8p-43},
    {0x1.1200000000000p+0, -0x1.16536eea30000p-4, -0x1.eb83a189705cfp-42},
    {0x1.1200000000000p+0, -0x1.16536eea30000p-4, -0x1.eb83a189705cfp-42},
    {0x1.1000000000000p+0, -0x1.f0a30c0120000p-5, 0x1.3ab33d066d1d2p-42},
    {0x1.1000000000000p+0, -0x1.f0a30c0120000p-5, 0x1.3ab33d066d1d2p-42},
    {0x1.0e00000000000p+0, -0x1.b42dd711a0000p-5, 0x1.1c827ae5d6705p-42},
    {0x1.0e00000000000p+0, -0x1.b42dd711a0000p-5, 0x1.1c827ae5d6705p-42},
    {0x1.0c00000000000p+0, -0x1.77458f6320000p-5, -0x1.b9f88c69e543ep-42},
    {0x1.0a00000000000p+0, -0x1.39e87b9fe0000p-5, -0x1.7abf5202b6405p-42},
    {0x1.0a00000000000p+0, -0x1.39e87b9fe0000p-5, -0x1.7abf5202b6405p-42},
    {0x1.0800000000000p+0, -0x1.f829b0e780000p-6, -0x1.980267c7e09e4p-45},
    {0x1.0800000000000p+0, -0x1.f829b0e780000p-6, -0x1.980267c7e09e4p-45},
    {0x1.0600000000000p+0, -0x1.7b91b07d40000p-6, -0x1.b11aa927f54c7p-42},
    {0x1.0600000000000p+0, -0x1.7b91b07d40000p-6, -0x1.b11aa927f54c7p-42},
    {0x1.0400000000000p+0, -0x1.fc0a8b1000000p-7, 0x1.fe0e183092c59p-42},
    {0x1.0400000000000p+0, -0x1.fc0a8b1000000p-7, 0x1.fe0e183092c59p-42},
    {0x1.0200000000000p+0, -0x1.fe02a6b100000p-8, -0x1.9e23f0dda40e4p-46},
    {0x1.0200000000000p+0, -0x1.fe02a6b100000p-8, -0x1.9e23f0dda40e4p-46},
    {0x1.0000000000000p+0, 0x0.0p+0, 0x0.0p+0}};

HX_INLINE double erfcx_table(double u) {
    double y = 0x1.badc4e3f25e33p-40;
    y = y * u + -0x1.422965c96923fp-34;
    y = y * u + -0x1.a77c768510576p-35;
    y = y * u + 0x1.ef7b91653c5cdp-31;
    y = y * u + 0x1.3d808102464efp-31;
    y = y * u + -0x1.c19f3ab4554a4p-28;
    y = y * u + -0x1.3177c06574078p-28;
    y = y * u + 0x1.5fe6b7e4ea045p-25;
    y = y * u + 0x1.a263a444a2514p-26;
    y = y * u + -0x1.186633836c572p-22;
    y = y * u + -0x1.f4e60b0aa555cp-25;
    y = y * u + 0x1.d6af780beaa2ep-20;
    y = y * u + -0x1.0523e1bd5b50bp-20;
    y = y * u + -0x1.8008353f400a6p-17;
    y = y * u + 0x1.778a2093df0abp-16;
    y = y * u + 0x1.b14441ded1232p-15;
    y = y * u + -0x1.303f9d742c06dp-12;
    y = y * u + 0x1.33fb248e15457p-12;
    y = y * u + 0x1.cc3a0e212dc04p-10;
    y = y * u + -0x1.3f603c33d654bp-7;
    y = y * u + 0x1.d0b0037dcdcb2p-6;
    y = y * u + -0x1.e0d0fa6dffe40p-5;
    y = y * u + 0x1.7a14188a99af8p-4;
    y = y * u + -0x1.bda9309a288f9p-4;
    y = y * u + 0x1.510169d096804p-4;
    y = y * u + 0x1.d5f2948159d60p-9;
    y = y * u + -0x1.1f367683f89a7p-3;
    y = y * u + 0x1.3ccda0b5d5dc2p+0;
    return y;
}

HX_INLINE double erfcx_short(double u) {
    double y = 0x1.8c86c77c54c1ap-16;
    y = y * u + -0x1.d5df07358fadbp-13;
    y = y * u + 0x1.5531cd0521e28p-12;
    y = y * u + 0x1.b7489f374bf3bp-10;
    y = y * u + -0x1.3ff8292bf9c4dp-7;
    y = y * u + 0x1.d175c99b7b257p-6;
    y = y * u + -0x1.e0c62f66c54dbp-5;
    y = y * u + 0x1.7a05cde74f0b4p-4;
    y = y * u + -0x1.bda9dae644d06p-4;
    y = y * u + 0x1.510330ec9798ep-4;
    y = y * u + 0x1.d5f3560b925afp-9;
    y = y * u + -0x1.1f367ea0691cfp-3;
    y = y * u + 0x1.3ccda0b5d5dc2p+0;
    return y;
}

HX_INLINE double ndtri_central_over(double u) {
    double y = 0x1.e8603e9431aedp+11;
    y = y * u + 0x1.214cd08b4e4e1p+16;
    y = y * u + 0x1.a273b0aa578a2p+17;
    y = y * u + 0x1.a11714cc49c9bp+17;
    y = y * u + 0x1.75ccbc4a8f65fp+16;
    y = y * u + 0x1.51edecb555ec5p+14;
    y = y * u + 0x1.3e873207f0ef8p+11;
    y = y * u + 0x1.2983594fd7e7fp+7;
    y = y * u + 0x1.b18d91e9eef75p+1;
    return y;
}

HX_INLINE double ndtri_central_under(double u) {
    double y = 0x1.25b3b754cc15ep+13;
    y = y * u + 0x1.1a96b28ee4223p+16;
    y = y * u + 0x1.122c69e2df947p+17;
    y = y * u + 0x1.aabcb49f39b9cp+16;
    y = y * u + 0x1.41a3f69d2d15ap+15;
    y = y * u + 0x1.ff0e0daee92acp+12;
    y = y * u + 0x1.b3a456a404a18p+9;
    y = y * u + 0x1.776318ab2437dp+5;
    y = y * u + 0x1.0000000000000p+0;
    return y;
}

HX_INLINE double ndtri_central_short_over(double u) {
    double y = 0x1.d7416fac5f593p+6;
    y = y * u + 0x1.28926df8e8be3p+9;
    y = y * u + 0x1.82e08145b9546p+8;
    y = y * u + 0x1.12389b5dc9991p+6;
    y = y * u + 0x1.b18d91cd621aep+1;
    return y;
}

HX_INLINE double ndtri_central_short_under(double u) {
    double y = 0x1.519c7b2c00e26p+7;
    y = y * u + 0x1.65885441698d8p+8;
    y = y * u + 0x1.440a3770f4071p+7;
    y = y * u + 0x1.73ec357c9373bp+4;
    y = y * u + 0x1.0000000000000p+0;
    return y;
}

HX_INLINE double ndtri_middle_over(double u) {
    double y = 0x1.c29a110eb4457p-17;
    y = y * u + 0x1.a6bdc755cf996p-11;
    y = y * u + 0x1.09e2f5cddb722p-6;
    y = y * u + 0x1.426dd25cac4f4p-3;
    y = y * u + 0x1.b9c247eec49a8p-1;
    y = y * u + 0x1.6f853a5fe15a6p+1;
    y = y * u + 0x1.77eb2d6219ff9p+2;
    y = y * u + 0x1.c509726a13473p+2;
    y = y * u + 0x1.1dd9bc30ed8b5p+2;
    y = y * u + 0x1.139393cdb5194p+0;
    return y;
}

HX_INLINE double ndtri_middle_under(double u) {
    double y = 0x1.3e9def9314fe2p-17;
    y = y * u + 0x1.23fa6a2c03758p-11;
    y = y * u + 0x1.5f6db2610aafap-7;
    y = y * u + 0x1.8fb0efb22148bp-4;
    y = y * u + 0x1.f861dc1a7184fp-2;
    y = y * u + 0x1.79f196501a28ep+0;
    y = y * u + 0x1.4e98e579ea7b1p+1;
    y = y * u + 0x1.41424c3501b48p+1;
    y = y * u + 0x1.0000000000000p+0;
    return y;
}

HX_INLINE double ndtri_far_over(double u) {
    double y = 0x1.0ce0d412336dep-41;
    y = y * u + 0x1.87ac99db639a9p-33;
    y = y * u + 0x1.90db119f7d327p-26;
    y = y * u + 0x1.907ef327b881fp-20;
    y = y * u + 0x1.c3739bc873f31p-15;
    y = y * u + 0x1.37150d3d291d4p-10;
    y = y * u + 0x1.1244ea76715dap-6;
    y = y * u + 0x1.3b973a0a6e274p-3;
    y = y * u + 0x1.d777f5dbc248cp-1;
    y = y * u + 0x1.b83d6854d1d47p+1;
    y = y * u + 0x1.d214cf949d849p+2;
    y = y * u + 0x1.aa1b1c13ee526p+2;
    return y;
}

HX_INLINE double ndtri_far_under(double u) {
    double y = 0x1.5133d4c609655p-72;
    y = y * u + 0x1.7c403ac4c41dep-42;
    y = y * u + 0x1.113e266670f05p-33;
    y = y * u + 0x1.10cc1c1be64fcp-26;
    y = y * u + 0x1.05fd299ee692cp-20;
    y = y * u + 0x1.16a7c1fd82b95p-15;
    y = y * u + 0x1.620f884e6085bp-11;
    y = y * u + 0x1.1765854370fc6p-7;
    y = y * u + 0x1.143dcc985fa33p-4;
    y = y * u + 0x1.4cebfd3ddb629p-2;
    y = y * u + 0x1.befa0e5a71e67p-1;
    y = y * u + 0x1.0000000000000p+0;
    return y;
}

HX_INLINE double ndtri_tail_short_over(double u) {
    double y = 0x1.7a0d3b39ef04ap-13;
    y = y * u + 0x1.52409cb4fd164p-7;
    y = y * u + 0x1.59cbe1e7b7648p-3;
    y = y * u + 0x1.1374a23dca49dp+0;
    y = y * u + 0x1.768b3181263e7p+1;
    y = y * u + 0x1.9ed1ef5345cc3p+1;
    y = y * u + 0x1.139393dd381cfp+0;
    return y;
}

HX_INLINE double ndtri_tail_short_under(double u) {
    double y = 0x1.0b518596dda07p-13;
    y = y * u + 0x1.d2b459456fbc6p-8;
    y = y * u + 0x1.c1cd8923d6fedp-4;
    y = y * u + 0x1.3eec329864ce6p-1;
    y = y * u + 0x1.5f0b8b2d2ec10p+0;
    y = y * u + 0x1.0000000000000p+0;
    return y;
}

HX_INLINE double airy_low(double u) {
    double y = 0x1.80604255bb64dp-49;
    y = y * u + -0x1.0fb7720c57738p-47;
    y = y * u + -0x1.c317f433f5aa5p-45;
    y = y * u + 0x1.7311b1d451d51p-42;
    y = y * u + -0x1.cf78d5c5ce514p-43;
    y = y * u + -0x1.80285f6b6f38ep-38;
    y = y * u + 0x1.aae88a32febebp-36;
    y = y * u + 0x1.f1d90efc30a7dp-38;
    y = y * u + -0x1.e060d8a7da57cp-32;
    y = y * u + 0x1.8512c779b7edfp-30;
    y = y * u + 0x1.078061631e3f0p-29;
    y = y * u + -0x1.d13601f856500p-26;
    y = y * u + 0x1.025f444b40902p-24;
    y = y * u + 0x1.6c215e8c4206fp-23;
    y = y * u + -0x1.515fbc20765e3p-20;
    y = y * u + 0x1.bd2f782093df9p-20;
    y = y * u + 0x1.346442de08d8fp-17;
    y = y * u + -0x1.5e852693cfe5ep-15;
    y = y * u + 0x1.44e6c71015d2ap-16;
    y = y * u + 0x1.55cfe190f4031p-12;
    y = y * u + -0x1.e6dc31ad36b0dp-11;
    y = y * u + -0x1.ac34e8e10933dp-12;
    y = y * u + 0x1.e36055ab7e185p-8;
    y = y * u + -0x1.8f71ccd6841ddp-7;
    y = y * u + -0x1.4312f09d54f5fp-6;
    y = y * u + 0x1.91f1dab731cd3p-4;
    y = y * u + -0x1.19e0c43784254p-4;
    y = y * u + -0x1.30772912447f5p-2;
    y = y * u + 0x1.4cf7d24c47df1p-1;
    y = y * u + 0x1.b48f6de7a61e3p-4;
    y = y * u + -0x1.c5d87970f5055p+0;
    y = y * u + 0x1.6ca4cde02667cp+0;
    y = y * u + 0x1.d140104a3582bp+0;
    y = y * u + -0x1.6d08195ba10eep+1;
    y = y * u + -0x1.673e4e0510db4p-2;
    y = y * u + 0x1.90544f4d7078dp+0;
    y = y * u + 0x1.f89dc01d9726ap-5;
    return y;
}

HX_INLINE double airy_high(double u) {
    double y = -0x1.5dbd9c51038f4p-57;
    y = y * u + 0x1.d562bd5b43825p-55;
    y = y * u + 0x1.1c2f50df57518p-52;
    y = y * u + -0x1.6c04e86340b3bp-48;
    y = y * u + 0x1.d7f629b66c3bdp-46;
    y = y * u + 0x1.4db59f4c025c0p-44;
    y = y * u + -0x1.0fa8c5944c558p-39;
    y = y * u + 0x1.76d81ce124e6dp-37;
    y = y * u + 0x1.96592981328a5p-37;
    y = y * u + -0x1.22e5de64d5725p-31;
    y = y * u + 0x1.a5bab1f917a5ap-29;
    y = y * u + -0x1.5f9c75dbbd4f4p-31;
    y = y * u + -0x1.9f782ea2a12a4p-24;
    y = y * u + 0x1.3aaaee4a6de4dp-21;
    y = y * u + -0x1.699b713119d82p-21;
    y = y * u + -0x1.60d9f277517f4p-17;
    y = y * u + 0x1.19128904c855ep-14;
    y = y * u + -0x1.f7e0104a1b176p-14;
    y = y * u + -0x1.1cde4bd3f689cp-11;
    y = y * u + 0x1.f63f399e23cd0p-9;
    y = y * u + -0x1.0e718437ec152p-7;
    y = y * u + -0x1.8b38f6a4ced48p-8;
    y = y * u + 0x1.2bc654b5d2900p-4;
    y = y * u + -0x1.47a0fcaade226p-3;
    y = y * u + 0x1.06b10b40985ffp-3;
    return y;
}

HX_INLINE double airy_decay(double u) {
    double y = 0x1.234bd47db9840p-38;
    y = y * u + -0x1.f713e95757d1ep-38;
    y = y * u + -0x1.d6c71d36dc7e0p-37;
    y = y * u + 0x1.8d3aacd58f6a3p-36;
    y = y * u + 0x1.1fb5f6b85ce58p-35;
    y = y * u + -0x1.f408ce73c1747p-35;
    y = y * u + -0x1.c72f6d2e62835p-37;
    y = y * u + 0x1.15a20370be6f7p-36;
    y = y * u + 0x1.bf30e648dc59cp-34;
    y = y * u + -0x1.c4e5d8b228172p-33;
    y = y * u + 0x1.8323b3d6b3745p-32;
    y = y * u + -0x1.b5695b8c015d3p-31;
    y = y * u + 0x1.03c43e35e5334p-29;
    y = y * u + -0x1.37baf8d0ca673p-28;
    y = y * u + 0x1.858f588b4e28fp-27;
    y = y * u + -0x1.ff53ece603041p-26;
    y = y * u + 0x1.62d476a021325p-24;
    y = y * u + -0x1.071f55bde66a3p-22;
    y = y * u + 0x1.a71bf2e20663ap-21;
    y = y * u + -0x1.7888005e5e931p-19;
    y = y * u + 0x1.7e9f37269d2ddp-17;
    y = y * u + -0x1.d35b8879be111p-15;
    y = y * u + 0x1.79f2bb0a7063cp-12;
    y = y * u + -0x1.0013c485fc2f1p-8;
    y = y * u + 0x1.1c6c06b9b4883p-2;
    return y;
}

HX_INLINE double airy_sine(double u) {
    double y = 0x1.aff91e565c44fp-50;
    y = y * u + -0x1.8de831e0d4e8fp-49;
    y = y * u + -0x1.7e590c0956ec7p-49;
    y = y * u + 0x1.3aca1faada511p-48;
    y = y * u + 0x1.7e11504f8f5fdp-47;
    y = y * u + -0x1.8338a084ab256p-46;
    y = y * u + 0x1.a73e1ba7a2732p-46;
    y = y * u + -0x1.183858c0054b4p-44;
    y = y * u + 0x1.a894574968b1cp-43;
    y = y * u + -0x1.294fbbf409540p-41;
    y = y * u + 0x1.be02cc5c2e23ep-40;
    y = y * u + -0x1.6fa3aba39aa4bp-38;
    y = y * u + 0x1.4fd4662731c37p-36;
    y = y * u + -0x1.5bbd0958bb91cp-34;
    y = y * u + 0x1.a56c6e8c3f16ap-32;
    y = y * u + -0x1.38da784c2a0a3p-29;
    y = y * u + 0x1.30f805512043dp-26;
    y = y * u + -0x1.b4fdb35654d34p-23;
    y = y * u + 0x1.1a7bdf324f71bp-18;
    y = y * u + -0x1.05a713478f780p-12;
    y = y * u + 0x1.20bc2b5f9d34fp-1;
    return y;
}

HX_INLINE double airy_cosine(double u) {
    double y = -0x1.140cef9ce1f7ap-46;
    y = y * u + 0x1.eff06d03a6e44p-46;
    y = y * u + 0x1.0cb803522c250p-45;
    y = y * u + -0x1.b9e4da6429207p-45;
    y = y * u + -0x1.c4d8efd8d6821p-44;
    y = y * u + 0x1.b76d0c2a4fe2dp-43;
    y = y * u + -0x1.7a73274bc9ef9p-43;
    y = y * u + 0x1.ebfa4bbe40780p-42;
    y = y * u + -0x1.7a93710df17aep-40;
    y = y * u + 0x1.f7335cbd54837p-39;
    y = y * u + -0x1.6300ad11f54c0p-37;
    y = y * u + 0x1.125f57b32c93ep-35;
    y = y * u + -0x1.d147f1a592858p-34;
    y = y * u + 0x1.b9285033ab460p-32;
    y = y * u + -0x1.e0b485919c82ap-30;
    y = y * u + 0x1.38a3c4870b502p-27;
    y = y * u + -0x1.00c175ee4c098p-24;
    y = y * u + 0x1.22cd3cff7bb81p-21;
    y = y * u + -0x1.080cd213b7900p-17;
    y = y * u + 0x1.02f79b59d0f96p-12;
    y = y * u + -0x1.3ede5735326bdp-5;
    return y;
}

HX_INLINE double log_gamma_1p(double u) {
    double y = -0x1.325909d03b9f0p-42;
    y = y * u + 0x1.dd5fa1f58dfb0p-41;
    y = y * u + -0x1.0a58a215474bcp-40;
    y = y * u + 0x1.a2bd5a3f2bd8ep-39;
    y = y * u + -0x1.ee716d5e64786p-37;
    y = y * u + 0x1.84c01c97ae513p-35;
    y = y * u + -0x1.2203ab3aba619p-33;
    y = y * u + 0x1.caaeec4dc8c77p-32;
    y = y * u + -0x1.6de431d14d796p-30;
    y = y * u + 0x1.2326ee0e8d5fbp-28;
    y = y * u + -0x1.d0f17dbd56e8fp-27;
    y = y * u + 0x1.74ff61afcc2b0p-25;
    y = y * u + -0x1.2cbfd94fa2154p-23;
    y = y * u + 0x1.e7dc51c39774ep-22;
    y = y * u + -0x1.8e8141bb5aa6ap-20;
    y = y * u + 0x1.4859fdbfd066fp-18;
    y = y * u + -0x1.118440156fccdp-16;
    y = y * u + 0x1.ce313ae1af2b4p-15;
    y = y * u + -0x1.8e17f3a91fa0bp-13;
    y = y * u + 0x1.606b19d79bda7p-11;
    y = y * u + -0x1.4547b1118c5d4p-9;
    y = y * u + 0x1.41ce0cb1ce267p-7;
    y = y * u + -0x1.6b58de447ab04p-5;
    y = y * u + 0x1.1cba4e3820cdap-2;
    y = y * u + -0x1.eeb95b094c191p-3;
    return y;
}

__attribute__((unused)) static const double temme[8][18] = {
    {-0x1.5555555555555p-2, 0x1.5555555555555p-4, -0x1.e573ac901e574p-7, 0x1.2f684bda12f68p-10,
     0x1.71de3a556c734p-12, -0x1.76e06fec7273bp-13, 0x1.48c5892f7cd83p-15, -0x1.255370652afc1p-19,
     -0x1.f1b22f594c6b5p-20, 0x1.bd6d21e4b4109p-21, -0x1.7b5f9a2d0465cp-23, 0x1.ccf5ceb7f0d9fp-28,
     0x1.6097d55c37c1cp-27, -0x1.2d2197c7a2faap-28, 0x1.f6e66d24d5c8ap-31, -0x1.c0d9b6edf2b0bp-36,
     -0x1.0070a87340428p-34, 0x1.ac9475c463659p-36},
    {-0x1.e573ac901e574p-10, -0x1.c71c71c71c71cp-9, 0x1.5ac056b015ac0p-9, -0x1.0394f6f09e723p-10,
     0x1.af83440e53dbcp-13, -0x1.af83440e53dbcp-22, -0x1.2fa4ae89e5af0p-16, 0x1.00a9cabd6b83ep-17,
     -0x1.b0bdfcc629cbap-20, 0x1.3f59230a8357cp-28, 0x1.280f2cde3f847p-23, -0x1.ee23d0cba8aeep-25,
     0x1.9aa7a30de114cp-27, -0x1.349fbca3a377bp-36, -0x1.1564ecff73d58p-30, 0x1.c9b434bf3c34ep-32,
     -0x1.78a5056f8ce45p-34, 0x1.113e3a466db9ep-44},
    {0x1.0ee643b990ee6p-8, -0x1.5f7268edab4c8p-9, 0x1.948b0fcd6e9e0p-11, 0x1.0db20a88f4696p-19,
     -0x1.c253efaa1a932p-14, 0x1.bbf43daf4fe53p-15, -0x1.ac2d05890f2c3p-17, 0x1.26154ae39151dp-25,
     0x1.7058929663937p-20, -0x1.522cb05171911p-21, 0x1.32ac81c15d3d7p-23, -0x1.c24bd0e740a6cp-33,
     -0x1.e437343a46f5dp-27, 0x1.ac0d455e25360p-28, -0x1.77c5829460139p-30, 0x1.0962774f638bbp-40,
     0x1.1b1056c188672p-33, -0x1.e9778dbc61371p-35},
    {0x1.547d93b34e2b6p-11, 0x1.e13ce465fa859p-13, -0x1.ebfb188b7ca00p-12, 0x1.18b9b5bf2d984p-12,
     -0x1.3d2a3a29b5d9dp-14, -0x1.0152a1871f27ap-22, 0x1.73df462204ef4p-17, -0x1.7cd6f27b3f020p-18,
     0x1.7e0201539310ep-20, -0x1.ea23269c140a7p-36, -0x1.6c2dcffbefeefp-23, 0x1.5bde8ef4c4dc7p-24,
     -0x1.4853ced169327p-26, 0x1.50c3f0dd501ebp-39, 0x1.1b66a39794ba9p-29, -0x1.040c53b2491f0p-30,
     0x1.d9b15465daec1p-33, -0x1.f46057e1c9d1fp-47},
    {-0x1.c3e0b02da7bf9p-11, 0x1.9b0ff6874f2c4p-11, -0x1.3999a85a4237ap-12, -0x1.88f2ae1def9d0p-20,
     0x1.16908b48ce058p-14, -0x1.4ce3fd902bcadp-15, 0x1.7db4c02846e81p-17, 0x1.13b3c5b7cb45ep-32,
     -0x1.c71c074985d3fp-20, 0x1.de37d9f09164cp-21, -0x1.ec676cf33153cp-23, 0x1.041515bab6adap-35,
     0x1.efe94304ac16bp-26, -0x1.e78e449f4e3bep-27, 0x1.d9a9f1a8b7696p-29, -0x1.033ba70791e5ep-42,
     -0x1.b14f212618752p-32, 0x1.9911dbca7ce93p-33},
    {-0x1.6128ac5a4fa71p-12, -0x1.247604839c038p-14, 0x1.22be87360ef1fp-12, -0x1.a2042c5148e27p-13,
     0x1.1d1e9cb24760bp-14, 0x1.30bdcf208080ep-23, -0x1.c823fc1b3cc36p-17, 0x1.0d0e229150428p-17,
     -0x1.338eb19652fd9p-19, -0x1.659cfde0bb2ebp-32, 0x1.741504e5c87c2p-22, -0x1.8c267becd0c0fp-23,
     0x1.9e630225a095bp-25, -0x1.4411c5ac40e35p-46, -0x1.b15bbf334c8c3p-28, 0x1.b2a3adb58623dp-29,
     -0x1.af0f32d677057p-31, 0x1.762c060bd9bdap-48},
    {0x1.168ef1b0931c8p-11, -0x1.36773bdb97b48p-11, 0x1.1c0950d3ecb9dp-12, 0x1.a8411da6cab49p-21,
     -0x1.5600945495b37p-14, 0x1.d6bdf83130dc1p-15, -0x1.3382f4cf48618p-16, -0x1.a74243fa27729p-29,
     0x1.d115d4f5dcc68p-19, -0x1.10587854fcb37p-19, 0x1.36c8903447d35p-21, 0x1.074e709bf4b8bp-42,
     -0x1.7b2f7de505322p-24, 0x1.9778c6d79bcc1p-25, -0x1.af0ea334cc20ep-27, 0x1.858ba968e7d04p-44,
     0x1.cf0f99fa070bcp-30, -0x1.d77155071f99bp-31},
    {0x1.691879c01efb4p-12, 0x1.b1d75d3346711p-15, -0x1.5f3385098cebfp-12, 0x1.26eeb5ece1d9fp-12,
     -0x1.cc642787368cep-14, -0x1.119c70312e0a2p-23, 0x1.d179830b113abp-16, -0x1.3269164e3e304p-16,
     0x1.8467d794bd7f2p-18, 0x1.0f82da50cdaeep-31, -0x1.1c6acec59f442p-20, 0x1.4b12ad51452d5p-21,
     -0x1.7929779607d63p-23, -0x1.6d32eed259534p-40, 0x1.cf11fbdf49e99p-26, -0x1.f4e88c5d1cae1p-27,
     0x1.0b2830e4dfce1p-28, -0x1.65f59322ddf56p-55}};

#endif
